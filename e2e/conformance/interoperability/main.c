/*
 * Interoperability tests for a mounted file system, by the list that NFS implementers have used since the first
 * Connectathons (its README: "basic" and "special" tests); written anew, as the original is not among Debian's packages.
 *
 *   interoperability DIRECTORY
 *
 * Prints a line for each test, as pjdfstest does: "basic::symlinks  ok", or "FAILED" and a line with the reason. Exit
 * code 1 if one has failed. Every test is a process of its own in an empty directory of its own.
 */
#include "suite.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

/* Where a failing test leaves its reason. */
static int reason_pipe;

void fail(const char *file, int line, const char *format, ...) {
  const int number = errno;
  const char *name = strrchr(file, '/');
  char wanted[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(wanted, sizeof wanted, format, arguments);
  va_end(arguments);
  dprintf(reason_pipe, "%s:%d: wanted: %s (errno %d: %s)\n", name ? name + 1 : file, line, wanted, number,
          strerror(number));
  _exit(1);
}

int file_with(const char *name, const void *content, size_t size) {
  const int descriptor = open(name, O_RDWR | O_CREAT | O_EXCL, 0666);
  if (descriptor == -1) FAIL("%s is made", name);
  if (size > 0) WANT(write(descriptor, content, size) == (ssize_t)size);
  return descriptor;
}

void fill(unsigned char *bytes, size_t size, unsigned seed) {
  unsigned state = seed * 2654435761u + 1;
  for (size_t i = 0; i < size; i++) {
    state = state * 1664525u + 1013904223u;
    bytes[i] = (unsigned char)(state >> 24);
  }
}

void want_content(int descriptor, const void *content, size_t size) {
  unsigned char *found = malloc(size + 1);
  size_t got = 0;
  WANT(found != NULL);
  WANT(lseek(descriptor, 0, SEEK_SET) == 0);
  while (got <= size) {
    const ssize_t count = read(descriptor, found + got, size + 1 - got);
    WANT(count >= 0);
    if (count == 0) break;
    got += (size_t)count;
  }
  if (got != size) FAIL("%zu bytes are read, not %zu", size, got);
  for (size_t i = 0; i < size; i++)
    if (found[i] != ((const unsigned char *)content)[i]) FAIL("byte %zu is what was written", i);
  free(found);
}

nlink_t links_of(const char *name) {
  struct stat found;
  if (lstat(name, &found) != 0) FAIL("%s is there", name);
  return found.st_nlink;
}

off_t size_of(const char *name) {
  struct stat found;
  if (lstat(name, &found) != 0) FAIL("%s is there", name);
  return found.st_size;
}

/* True: it was all right. */
static int passes(const char *group, const struct test *test) {
  char directory[128], reason[640] = "";
  int ends[2], status = 0;
  snprintf(directory, sizeof directory, "%s-%s", group, test->name);
  if (mkdir(directory, 0777) != 0 || pipe(ends) != 0) {
    perror(directory);
    exit(2);
  }
  const pid_t child = fork();
  if (child == -1) exit(2);
  if (child == 0) {
    reason_pipe = ends[1];
    close(ends[0]);
    WANT(chdir(directory) == 0);
    test->run();
    _exit(0);
  }
  close(ends[1]);
  if (read(ends[0], reason, sizeof reason - 1) < 0) reason[0] = 0;
  close(ends[0]);
  if (waitpid(child, &status, 0) != child) exit(2);
  const int passed = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  printf("%s::%s %s\n", group, test->name, passed ? "ok" : "FAILED");
  if (!passed && reason[0] == 0) snprintf(reason, sizeof reason, "ended by signal %d\n", WTERMSIG(status));
  if (!passed) printf("\t%s", reason);
  fflush(stdout);
  return passed;
}

static int run_all(const char *group, const struct test *tests) {
  int failed = 0;
  for (const struct test *test = tests; test->name != NULL; test++) failed += !passes(group, test);
  return failed;
}

int main(int count, char **arguments) {
  if (count != 2 || chdir(arguments[1]) != 0) {
    fprintf(stderr, "usage: interoperability DIRECTORY\n");
    return 2;
  }
  umask(022);
  return run_all("basic", basic_tests) + run_all("special", special_tests) > 0;
}
