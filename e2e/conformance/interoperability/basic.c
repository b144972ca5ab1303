/* Every operation of a file system by itself, many times: the "basic" tests, by their numbers there. */
#include "suite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { LEVELS = 4, FILES = 5, DIRECTORIES = 2 };

/* Directories within directories, with files in each. */
static void make_tree(int level) {
  char name[32];
  for (int i = 0; i < FILES; i++) {
    snprintf(name, sizeof name, "file.%d", i);
    const int descriptor = creat(name, 0666);
    WANT(descriptor != -1);
    WANT(close(descriptor) == 0);
  }
  for (int i = 0; level > 1 && i < DIRECTORIES; i++) {
    snprintf(name, sizeof name, "dir.%d", i);
    WANT(mkdir(name, 0777) == 0);
    WANT(chdir(name) == 0);
    make_tree(level - 1);
    WANT(chdir("..") == 0);
  }
}

static void remove_tree(int level) {
  char name[32];
  for (int i = 0; i < FILES; i++) {
    snprintf(name, sizeof name, "file.%d", i);
    WANT(unlink(name) == 0);
    WANT_ERRNO(unlink(name), ENOENT);
  }
  for (int i = 0; level > 1 && i < DIRECTORIES; i++) {
    snprintf(name, sizeof name, "dir.%d", i);
    WANT_ERRNO(rmdir(name), ENOTEMPTY);
    WANT(chdir(name) == 0);
    remove_tree(level - 1);
    WANT(chdir("..") == 0);
    WANT(rmdir(name) == 0);
  }
}

/* 1 */
static void create_tree(void) {
  make_tree(LEVELS);
  struct stat root;
  WANT(stat(".", &root) == 0);
  WANT(S_ISDIR(root.st_mode));
  WANT_ERRNO(mkdir("dir.0", 0777), EEXIST);
  WANT_ERRNO(open("file.0", O_CREAT | O_EXCL | O_WRONLY, 0666), EEXIST);
  WANT_ERRNO(open("file.0/below", O_RDONLY), ENOTDIR);
}

/* 2 */
static void remove_whole_tree(void) {
  make_tree(LEVELS);
  remove_tree(LEVELS);
  DIR *directory = opendir(".");
  WANT(directory != NULL);
  int names = 0;
  while (readdir(directory) != NULL) names++;
  WANT(names == 2);
  closedir(directory);
}

/* 3: the working directory is found, also across the mount point. */
static void working_directory(void) {
  char first[PATH_MAX], again[PATH_MAX];
  struct stat here, there;
  WANT(getcwd(first, sizeof first) != NULL);
  for (int i = 0; i < 100; i++) {
    WANT(getcwd(again, sizeof again) != NULL);
    WANT(strcmp(first, again) == 0);
    WANT(stat(again, &there) == 0);
    WANT(stat(".", &here) == 0);
    WANT(here.st_ino == there.st_ino && here.st_dev == there.st_dev);
  }
}

/* 4: modes are what they were set to. */
static void modes(void) {
  char name[32];
  struct stat found;
  for (int i = 0; i < 10; i++) {
    snprintf(name, sizeof name, "file.%d", i);
    WANT(close(file_with(name, "", 0)) == 0);
  }
  for (int round = 0; round < 20; round++)
    for (int i = 0; i < 10; i++) {
      snprintf(name, sizeof name, "file.%d", i);
      WANT(chmod(name, 0) == 0);
      WANT(stat(name, &found) == 0);
      WANT((found.st_mode & 07777) == 0);
      WANT(chmod(name, 0666) == 0);
      WANT(stat(name, &found) == 0);
      WANT((found.st_mode & 07777) == 0666);
    }
}

/* 4a */
static void attributes(void) {
  struct stat first, again;
  WANT(close(file_with("file", "12345", 5)) == 0);
  WANT(stat("file", &first) == 0);
  for (int i = 0; i < 200; i++) {
    WANT(stat("file", &again) == 0);
    WANT(first.st_ino == again.st_ino && again.st_size == 5);
    WANT(first.st_mtim.tv_sec == again.st_mtim.tv_sec && first.st_mtim.tv_nsec == again.st_mtim.tv_nsec);
  }
}

/* 5, 5a, 5b: a megabyte in blocks of 8 KiB, and it comes back. */
static void write_and_read(void) {
  enum { SIZE = 1048576, BLOCK = 8192, ROUNDS = 4 };
  static unsigned char bytes[SIZE];
  for (unsigned round = 0; round < ROUNDS; round++) {
    fill(bytes, SIZE, round);
    int descriptor = open("file", O_WRONLY | O_CREAT | O_TRUNC, 0666);
    WANT(descriptor != -1);
    struct stat found;
    WANT(fstat(descriptor, &found) == 0);
    WANT(found.st_size == 0);
    for (size_t at = 0; at < SIZE; at += BLOCK) WANT(write(descriptor, bytes + at, BLOCK) == BLOCK);
    WANT(fsync(descriptor) == 0);
    WANT(close(descriptor) == 0);
    WANT(size_of("file") == SIZE);
    descriptor = open("file", O_RDONLY);
    WANT(descriptor != -1);
    want_content(descriptor, bytes, SIZE);
    WANT(close(descriptor) == 0);
  }
}

/* How often each of `count` names file.N is listed; any other name than . and .. fails. */
static void list(unsigned char *seen, int count) {
  DIR *directory = opendir(".");
  const struct dirent *entry;
  int dots = 0;
  WANT(directory != NULL);
  memset(seen, 0, (size_t)count);
  while (errno = 0, (entry = readdir(directory)) != NULL) {
    int number = -1;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) dots++;
    else if (sscanf(entry->d_name, "file.%d", &number) != 1 || number < 0 || number >= count)
      FAIL("no name is listed that was not made: %s", entry->d_name);
    else if (seen[number]++ > 0) FAIL("no name is listed twice: %s", entry->d_name);
  }
  WANT(errno == 0);
  WANT(dots == 2);
  closedir(directory);
}

/* 6: each name is listed once, and none that was removed. */
static void listing(void) {
  enum { COUNT = 200 };
  unsigned char seen[COUNT];
  char name[32];
  for (int i = 0; i < COUNT; i++) {
    snprintf(name, sizeof name, "file.%d", i);
    WANT(close(file_with(name, "", 0)) == 0);
  }
  for (int removed = 0; removed < COUNT; removed += 10) {
    list(seen, COUNT);
    for (int i = 0; i < COUNT; i++) WANT(seen[i] == (i >= removed));
    for (int i = removed; i < removed + 10; i++) {
      snprintf(name, sizeof name, "file.%d", i);
      WANT(unlink(name) == 0);
    }
  }
  list(seen, COUNT);
}

/* 7, 7a, 7b */
static void rename_and_link(void) {
  char name[32], other[32];
  struct stat before, after;
  for (int i = 0; i < 10; i++) {
    snprintf(name, sizeof name, "file.%d", i);
    snprintf(other, sizeof other, "new.%d", i);
    WANT(close(file_with(name, name, strlen(name))) == 0);
    for (int round = 0; round < 10; round++) {
      WANT(stat(name, &before) == 0);
      WANT(rename(name, other) == 0);
      WANT_ERRNO(stat(name, &after), ENOENT);
      WANT(stat(other, &after) == 0);
      WANT(before.st_ino == after.st_ino && after.st_nlink == 1);
      WANT(link(other, name) == 0);
      WANT(links_of(name) == 2 && links_of(other) == 2);
      WANT_ERRNO(link(other, name), EEXIST);
      WANT(unlink(other) == 0);
      WANT(links_of(name) == 1);
    }
  }
  /* Over a name that is there. */
  WANT(rename("file.0", "file.1") == 0);
  WANT_ERRNO(stat("file.0", &after), ENOENT);
  const int descriptor = open("file.1", O_RDONLY);
  want_content(descriptor, "file.0", 6);
}

/* 8 */
static void symbolic_links(void) {
  char name[32], target[PATH_MAX], found[PATH_MAX];
  struct stat what;
  for (int round = 0; round < 10; round++)
    for (int i = 0; i < 10; i++) {
      const int length = 1 + i * 111;
      memset(target, 'a' + i, (size_t)length);
      target[length] = 0;
      snprintf(name, sizeof name, "link.%d", i);
      WANT(symlink(target, name) == 0);
      WANT(lstat(name, &what) == 0);
      WANT(S_ISLNK(what.st_mode) && what.st_size == length);
      WANT(readlink(name, found, sizeof found) == length);
      WANT(memcmp(found, target, (size_t)length) == 0);
      WANT_ERRNO(symlink(target, name), EEXIST);
      WANT(unlink(name) == 0);
    }
}

/* 9 */
static void file_system_figures(void) {
  struct statvfs figures;
  for (int i = 0; i < 100; i++) {
    WANT(statvfs(".", &figures) == 0);
    WANT(figures.f_blocks > 0 && figures.f_bfree <= figures.f_blocks && figures.f_bavail <= figures.f_bfree);
    WANT(figures.f_bsize > 0 && figures.f_namemax >= 255);
  }
}

const struct test basic_tests[] = {
    {"create_tree", create_tree},
    {"remove_tree", remove_whole_tree},
    {"working_directory", working_directory},
    {"modes", modes},
    {"attributes", attributes},
    {"write_and_read", write_and_read},
    {"listing", listing},
    {"rename_and_link", rename_and_link},
    {"symbolic_links", symbolic_links},
    {"file_system_figures", file_system_figures},
    {NULL, NULL},
};
