/* Refused input: one line on stderr, exit status 9, unfinished output removed. */
#ifndef REFUSE_H
#define REFUSE_H

#include <stddef.h>

#define STATUS_REFUSED 9

_Noreturn void refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A warning or a note on stderr; standard output keeps to the lines of the specification. */
void remark(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *allocate(size_t count, size_t size);
/* The whole file as a 0-terminated buffer; refuses what it cannot read. */
char *read_file(const char *name, const char *what, size_t *size);

#endif
