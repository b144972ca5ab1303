/*
 * What the tests of this directory share: each is a function that returns when all is right and does not return
 * otherwise. The directory it runs in is empty and its own.
 */
#ifndef SUITE_H
#define SUITE_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

struct test {
  const char *name;
  void (*run)(void);
};

/* Each list ends with a test without a name. */
extern const struct test basic_tests[];
extern const struct test special_tests[];

/* Ends the test: "file:line: what was wanted (errno's text)". */
#define FAIL(...) fail(__FILE__, __LINE__, __VA_ARGS__)
#define WANT(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition)) FAIL("%s", #condition);                                                                          \
  } while (0)
/* The call is refused with this errno, and with no other. */
#define WANT_ERRNO(call, wanted)                                                                                       \
  do {                                                                                                                 \
    errno = 0;                                                                                                         \
    if ((call) != -1 || errno != (wanted)) FAIL("%s is refused with %s", #call, #wanted);                              \
  } while (0)

void fail(const char *file, int line, const char *format, ...) __attribute__((noreturn, format(printf, 3, 4)));

/* A new file of this name with this content; open for reading and writing. */
int file_with(const char *name, const void *content, size_t size);
/* Bytes that depend on `seed` and on their place: no two blocks of a file are alike. */
void fill(unsigned char *bytes, size_t size, unsigned seed);
void want_content(int descriptor, const void *content, size_t size);
nlink_t links_of(const char *name);
off_t size_of(const char *name);

#endif
