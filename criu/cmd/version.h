/* The level of the interfaces this program answers to, and its own release. */
#pragma once

#define INTERFACE_VERSION "4.2"
#define PROGRAM_RELEASE   "0.1.0"
