/* Words for files that are refused, for others who refuse some of them. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* "tcp socket": the family, and the protocol where it is an internet one. */
const char *socket_describe(int fd);
