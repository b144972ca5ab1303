/* What a client implementation has to do for load.c. Every function returns 0, or -1 after saying why on stderr. */
#ifndef LOAD_H
#define LOAD_H

#include <stddef.h>
#include <sys/types.h>

/* `place`: of the export, in the implementation's own words. */
int client_open(const char *place);
/* One look at the attributes of a file, by asking the server. */
int client_stat(const char *name);
int client_create_and_remove(const char *name);
/* The file is open from begin to end; end makes what was written durable. */
int client_begin(const char *name, int writing);
int client_write(const void *bytes, size_t size, off_t offset);
int client_read(void *bytes, size_t size, off_t offset);
int client_end(int writing);

#endif
