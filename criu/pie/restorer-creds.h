/* Credentials of a thread. */
#pragma once

#include "pie/restorer-border.h"

void set_credentials(struct restorer_thread *thread);
