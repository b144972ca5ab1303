/* The kernel's client: PLACE is a directory in a mount. Reads past its cache (O_DIRECT). */
#define _GNU_SOURCE
#include "load.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int file = -1;

static int check(int good, const char *what) {
  if (!good) perror(what);
  return good ? 0 : -1;
}

int client_open(const char *place) { return check(chdir(place) == 0, place); }

int client_stat(const char *name) {
  struct stat found;
  return check(stat(name, &found) == 0, "stat");
}

int client_create_and_remove(const char *name) {
  const int made = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);
  return check(made != -1 && close(made) == 0 && unlink(name) == 0, name);
}

int client_begin(const char *name, int writing) {
  file = open(name, writing ? O_CREAT | O_WRONLY : O_RDONLY | O_DIRECT, 0644);
  return check(file != -1, name);
}

int client_write(const void *bytes, size_t size, off_t offset) {
  return check(pwrite(file, bytes, size, offset) == (ssize_t)size, "write");
}

int client_read(void *bytes, size_t size, off_t offset) {
  return check(pread(file, bytes, size, offset) == (ssize_t)size, "read");
}

int client_end(int writing) { return check((!writing || fsync(file) == 0) && close(file) == 0, "close"); }
