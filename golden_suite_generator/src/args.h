/* Command line to Request: headers of -mask and -img first, then the flags in their order. */
#ifndef ARGS_H
#define ARGS_H

#include "request.h"

/* Handles --help and --version itself. */
Request parse_arguments(int argc, char **argv);
_Noreturn void usage(int status);

#endif
