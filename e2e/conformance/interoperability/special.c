/* What implementations have got wrong before: the "special" tests. */
#include "suite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A file that is open is read and written on after its last name is gone. */
static void open_and_unlinked(void) {
  struct stat found;
  const int descriptor = file_with("file", "before", 6);
  WANT(unlink("file") == 0);
  WANT_ERRNO(stat("file", &found), ENOENT);
  WANT(pwrite(descriptor, " after", 6, 6) == 6);
  WANT(fsync(descriptor) == 0);
  want_content(descriptor, "before after", 12);
  WANT(fstat(descriptor, &found) == 0 && found.st_size == 12);
  WANT(close(descriptor) == 0);
}

/* The same with a file that another one is renamed over. */
static void open_and_replaced(void) {
  const int old = file_with("file", "old", 3);
  WANT(close(file_with("other", "new", 3)) == 0);
  WANT(rename("other", "file") == 0);
  want_content(old, "old", 3);
  WANT(pwrite(old, "OLD", 3, 0) == 3);
  want_content(old, "OLD", 3);
  WANT(close(old) == 0);
  const int descriptor = open("file", O_RDONLY);
  want_content(descriptor, "new", 3);
}

/* Who has a file open goes on, whatever becomes of its mode. */
static void open_and_forbidden(void) {
  const int descriptor = file_with("file", "before", 6);
  WANT(fchmod(descriptor, 0) == 0);
  WANT(pwrite(descriptor, " after", 6, 6) == 6);
  WANT(fsync(descriptor) == 0);
  want_content(descriptor, "before after", 12);
  WANT(close(descriptor) == 0);
}

/* Two hundred that want the same new file: one gets it. */
static void exclusive_create(void) {
  enum { PROCESSES = 8, NAMES = 25 };
  int ends[2], made[NAMES] = {0};
  WANT(pipe(ends) == 0);
  for (int i = 0; i < PROCESSES; i++) {
    const pid_t child = fork();
    WANT(child != -1);
    if (child > 0) continue;
    for (int number = 0; number < NAMES; number++) {
      char name[32];
      snprintf(name, sizeof name, "file.%d", number);
      const int descriptor = open(name, O_CREAT | O_EXCL | O_RDWR, 0644);
      if (descriptor == -1) WANT(errno == EEXIST);
      else WANT(write(ends[1], &number, sizeof number) == sizeof number);
    }
    _exit(0);
  }
  close(ends[1]);
  for (int number; read(ends[0], &number, sizeof number) == sizeof number;) made[number]++;
  for (int status; wait(&status) != -1;) WANT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  for (int number = 0; number < NAMES; number++)
    if (made[number] != 1) FAIL("file.%d is made by one of them, not by %d", number, made[number]);
}

/* The mode and the times of a file made exclusively are its own, not what the server kept its verifier in. */
static void exclusive_create_attributes(void) {
  struct stat found;
  const time_t now = time(NULL);
  const int descriptor = open("file", O_CREAT | O_EXCL | O_RDWR, 0640);
  WANT(descriptor != -1);
  WANT(close(descriptor) == 0);
  WANT(stat("file", &found) == 0);
  WANT((found.st_mode & 07777) == 0640 && found.st_size == 0 && found.st_nlink == 1);
  WANT(found.st_mtime > now - 600 && found.st_mtime < now + 600);
  WANT(found.st_atime > now - 600 && found.st_atime < now + 600);
}

/* A file cannot be read before its beginning, nor does anything below it answer for that. */
static void negative_seek(void) {
  char byte;
  const int descriptor = file_with("file", "content", 7);
  WANT_ERRNO(lseek(descriptor, -5, SEEK_SET), EINVAL);
  WANT_ERRNO((int)pread(descriptor, &byte, 1, -5), EINVAL);
  WANT(lseek(descriptor, 0, SEEK_CUR) == 7);
}

/* A rename goes on working while the file is used under its old name and its new one. */
static void rename_while_open(void) {
  char name[32] = "file.0", next[32];
  const int descriptor = file_with(name, "x", 1);
  for (int i = 1; i <= 100; i++) {
    snprintf(next, sizeof next, "file.%d", i);
    WANT(rename(name, next) == 0);
    WANT(pwrite(descriptor, &"0123456789"[i % 10], 1, i) == 1);
    WANT(size_of(next) == i + 1);
    strcpy(name, next);
  }
}

/* Directories over empty ones, into each other, and never into themselves. */
static void rename_directories(void) {
  WANT(mkdir("a", 0777) == 0 && mkdir("a/b", 0777) == 0 && mkdir("empty", 0777) == 0 && mkdir("full", 0777) == 0);
  WANT(close(file_with("full/file", "", 0)) == 0);
  WANT_ERRNO(rename("a", "a/b/c"), EINVAL);
  errno = 0;
  WANT(rename("a", "full") == -1 && (errno == ENOTEMPTY || errno == EEXIST));
  WANT_ERRNO(rename("a", "full/file"), ENOTDIR);
  WANT_ERRNO(rename("full/file", "a"), EISDIR);
  WANT(rename("a", "empty") == 0);
  WANT(links_of("empty") == 3);
  WANT(rename("empty/b", "full/b") == 0);
  WANT(links_of("empty") == 2 && links_of("full") == 3);
}

/* What was never written reads as zeros, wherever the holes are. */
static void holes(void) {
  enum { SIZE = 425984, DATA = 4321, STEP = 45678 };
  static unsigned char expected[SIZE + DATA];
  size_t end = 0;
  const int descriptor = file_with("file", "", 0);
  for (size_t at = 0; at < SIZE; at += STEP) {
    fill(expected + at, DATA, (unsigned)at);
    WANT(pwrite(descriptor, expected + at, DATA, (off_t)at) == DATA);
    end = at + DATA;
  }
  want_content(descriptor, expected, end);
  WANT(ftruncate(descriptor, (off_t)end + 5000) == 0);
  WANT(fsync(descriptor) == 0);
  WANT(size_of("file") == (off_t)end + 5000);
}

/* Shorter, longer again: what was cut off does not come back. */
static void truncated(void) {
  enum { SIZE = 20000 };
  unsigned char bytes[SIZE];
  const int descriptor = file_with("file", "", 0);
  for (off_t size = SIZE - 1; size > 0; size -= 1237) {
    fill(bytes, SIZE, (unsigned)size);
    WANT(pwrite(descriptor, bytes, SIZE, 0) == SIZE);
    WANT(ftruncate(descriptor, size) == 0);
    WANT(size_of("file") == size);
    WANT(ftruncate(descriptor, SIZE) == 0);
    memset(bytes + size, 0, (size_t)(SIZE - size));
    want_content(descriptor, bytes, SIZE);
  }
  WANT(close(descriptor) == 0);
  WANT(truncate("file", 0) == 0);
  WANT(size_of("file") == 0);
}

/* Operations that fail when they are executed twice, one after the other: a call sent again must not be. */
static void executed_once(void) {
  char name[64], other[64], found[64];
  for (int i = 0; i < 60; i++) {
    snprintf(name, sizeof name, "dir.%d", i);
    WANT(mkdir(name, 0777) == 0);
    snprintf(name, sizeof name, "dir.%d/file", i);
    WANT(close(file_with(name, "", 0)) == 0);
    snprintf(other, sizeof other, "dir.%d/other", i);
    WANT(rename(name, other) == 0);
    WANT(link(other, name) == 0);
    WANT(unlink(other) == 0);
    WANT(symlink(name, other) == 0);
    WANT(readlink(other, found, sizeof found) == (ssize_t)strlen(name));
    WANT(unlink(other) == 0 && unlink(name) == 0);
    snprintf(name, sizeof name, "dir.%d", i);
    WANT(rmdir(name) == 0);
  }
}

/* Many in one directory at once: each sees its own changes at once, and nobody's are lost. */
static void many_at_once(void) {
  enum { PROCESSES = 6, ROUNDS = 20 };
  for (int i = 0; i < PROCESSES; i++) {
    const pid_t child = fork();
    WANT(child != -1);
    if (child > 0) continue;
    for (int round = 0; round < ROUNDS; round++) {
      char name[32], kept[32];
      snprintf(name, sizeof name, "new.%d", i);
      snprintf(kept, sizeof kept, "kept.%d.%d", i, round);
      const int descriptor = file_with(name, kept, strlen(kept));
      WANT(rename(name, kept) == 0);
      want_content(descriptor, kept, strlen(kept));
      WANT(close(descriptor) == 0);
    }
    _exit(0);
  }
  for (int status; wait(&status) != -1;) WANT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  for (int i = 0; i < PROCESSES; i++)
    for (int round = 0; round < ROUNDS; round++) {
      char kept[32];
      snprintf(kept, sizeof kept, "kept.%d.%d", i, round);
      WANT(size_of(kept) == (off_t)strlen(kept));
    }
}

/* Whoever appends, appends: to a file that was cut, too. */
static void appended(void) {
  const int descriptor = open("file", O_CREAT | O_RDWR | O_APPEND, 0666);
  WANT(descriptor != -1);
  WANT(write(descriptor, "one", 3) == 3 && lseek(descriptor, 0, SEEK_SET) == 0);
  WANT(write(descriptor, "two", 3) == 3);
  want_content(descriptor, "onetwo", 6);
  WANT(ftruncate(descriptor, 3) == 0 && write(descriptor, "three", 5) == 5);
  want_content(descriptor, "onethree", 8);
}

/* A listing that starts over shows what is there now; its marks lead back to where they were taken. */
static void rewind_and_seek(void) {
  enum { COUNT = 300 };
  char name[32], at_mark[256];
  for (int i = 0; i < COUNT; i++) {
    snprintf(name, sizeof name, "name-of-some-length.%d", i);
    WANT(close(file_with(name, "", 0)) == 0);
  }
  DIR *directory = opendir(".");
  WANT(directory != NULL);
  int before = 0, after = 0;
  for (int i = 0; i < COUNT / 2; i++) WANT(readdir(directory) != NULL);
  const long mark = telldir(directory);
  const struct dirent *entry = readdir(directory);
  WANT(entry != NULL);
  strcpy(at_mark, entry->d_name);
  while (readdir(directory) != NULL) before++;
  seekdir(directory, mark);
  entry = readdir(directory);
  WANT(entry != NULL && strcmp(entry->d_name, at_mark) == 0);
  while (readdir(directory) != NULL) after++;
  WANT(before == after);
  WANT(unlink("name-of-some-length.7") == 0);
  rewinddir(directory);
  for (before = 0; readdir(directory) != NULL;) before++;
  WANT(before == COUNT - 1 + 2);
  closedir(directory);
}

/* A directory is emptied while it is listed, as rm -r does it: nothing remains. */
static void removed_while_listed(void) {
  enum { COUNT = 400 };
  char name[32];
  for (int i = 0; i < COUNT; i++) {
    snprintf(name, sizeof name, "file.%d", i);
    WANT(close(file_with(name, "", 0)) == 0);
  }
  DIR *directory = opendir(".");
  WANT(directory != NULL);
  for (const struct dirent *entry; (entry = readdir(directory)) != NULL;)
    if (entry->d_name[0] != '.') WANT(unlink(entry->d_name) == 0);
  closedir(directory);
  WANT(rmdir("../special-removed_while_listed") == 0);
}

/* Beyond what 31 and 32 bits hold. */
static void large_offsets(void) {
  const off_t places[] = {(1LL << 31) - 4, 1LL << 31, (1LL << 32) - 4, 1LL << 32, (1LL << 40) + 123};
  char found[8];
  const int descriptor = file_with("file", "", 0);
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    WANT(pwrite(descriptor, "8 bytes!", 8, places[i]) == 8);
    WANT(fsync(descriptor) == 0);
    WANT(size_of("file") == places[i] + 8);
  }
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    if (i == 0 || i == 2) continue; /* The next one was written over its end. */
    WANT(pread(descriptor, found, 8, places[i]) == 8);
    WANT(memcmp(found, "8 bytes!", 8) == 0);
  }
  WANT(pread(descriptor, found, 8, 1LL << 20) == 8);
  WANT(memcmp(found, "\0\0\0\0\0\0\0\0", 8) == 0);
  WANT(ftruncate(descriptor, (1LL << 32) + 4) == 0);
  WANT(size_of("file") == (1LL << 32) + 4);
}

/* What is written through a mapping is in the file, and the other way round. */
static void mapped(void) {
  enum { SIZE = 65536 };
  static unsigned char bytes[SIZE];
  fill(bytes, SIZE, 1);
  const int descriptor = file_with("file", bytes, SIZE);
  unsigned char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  WANT(map != MAP_FAILED);
  WANT(memcmp(map, bytes, SIZE) == 0);
  fill(bytes, SIZE, 2);
  memcpy(map, bytes, SIZE);
  WANT(msync(map, SIZE, MS_SYNC) == 0);
  want_content(descriptor, bytes, SIZE);
  WANT(pwrite(descriptor, "here", 4, 30000) == 4);
  WANT(memcmp(map + 30000, "here", 4) == 0);
  WANT(munmap(map, SIZE) == 0);
}

/* Times are set to what they are set to, with nanoseconds; a write moves them on. */
static void times(void) {
  struct stat found;
  const struct timespec set[2] = {{.tv_sec = 981173106, .tv_nsec = 123456789}, {.tv_sec = 1000000000, .tv_nsec = 5}};
  const int descriptor = file_with("file", "", 0);
  WANT(futimens(descriptor, set) == 0);
  WANT(stat("file", &found) == 0);
  WANT(found.st_atim.tv_sec == 981173106 && found.st_atim.tv_nsec == 123456789);
  WANT(found.st_mtim.tv_sec == 1000000000 && found.st_mtim.tv_nsec == 5);
  WANT(write(descriptor, "x", 1) == 1 && fsync(descriptor) == 0);
  WANT(stat("file", &found) == 0);
  WANT(found.st_mtim.tv_sec > 1000000000 && found.st_atim.tv_sec == 981173106);
}

const struct test special_tests[] = {
    {"open_and_unlinked", open_and_unlinked},
    {"open_and_replaced", open_and_replaced},
    {"open_and_forbidden", open_and_forbidden},
    {"exclusive_create", exclusive_create},
    {"exclusive_create_attributes", exclusive_create_attributes},
    {"negative_seek", negative_seek},
    {"rename_while_open", rename_while_open},
    {"rename_directories", rename_directories},
    {"holes", holes},
    {"truncated", truncated},
    {"executed_once", executed_once},
    {"many_at_once", many_at_once},
    {"appended", appended},
    {"rewind_and_seek", rewind_and_seek},
    {"removed_while_listed", removed_while_listed},
    {"large_offsets", large_offsets},
    {"mapped", mapped},
    {"times", times},
    {NULL, NULL},
};
