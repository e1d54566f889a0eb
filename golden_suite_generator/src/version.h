#ifndef VERSION_H
#define VERSION_H
#define PROGRAM_VERSION "1.0"
#endif
