/* libnfs by its synchronous calls: PLACE is one of its URLs. */
#include "load.h"

#include <fcntl.h>
#include <nfsc/libnfs.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

static struct nfs_context *nfs;
static struct nfsfh *file;

static int check(int good, const char *what) {
  if (!good) fprintf(stderr, "%s: %s\n", what, nfs_get_error(nfs));
  return good ? 0 : -1;
}

int client_open(const char *place) {
  nfs = nfs_init_context();
  if (nfs == NULL) return -1;
  const struct nfs_url *url = nfs_parse_url_dir(nfs, place);
  return check(url != NULL && nfs_mount(nfs, url->server, url->path) == 0, place);
}

int client_stat(const char *name) {
  struct nfs_stat_64 found;
  return check(nfs_stat64(nfs, name, &found) == 0, "stat");
}

int client_create_and_remove(const char *name) {
  struct nfsfh *made;
  if (nfs_creat(nfs, name, 0644, &made) != 0) return check(0, "creat");
  nfs_close(nfs, made);
  return check(nfs_unlink(nfs, name) == 0, "unlink");
}

int client_begin(const char *name, int writing) {
  if (writing && nfs_open(nfs, name, O_WRONLY, &file) == 0) return 0;
  if (writing) return check(nfs_creat(nfs, name, 0644, &file) == 0, "creat");
  return check(nfs_open(nfs, name, O_RDONLY, &file) == 0, "open");
}

int client_write(const void *bytes, size_t size, off_t offset) {
  return check(nfs_pwrite(nfs, file, (uint64_t)offset, size, (void *)(uintptr_t)bytes) == (int)size, "write");
}

int client_read(void *bytes, size_t size, off_t offset) {
  return check(nfs_pread(nfs, file, (uint64_t)offset, size, bytes) == (int)size, "read");
}

int client_end(int writing) {
  if (writing && nfs_fsync(nfs, file) != 0) return check(0, "fsync");
  return check(nfs_close(nfs, file) == 0, "close");
}
