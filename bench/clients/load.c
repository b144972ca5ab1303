/*
 * The same work through any client: one operation after the other, for a while each.
 *
 *   load PLACE MILLISECONDS
 *
 * Prints "WORKLOAD OPERATIONS MILLISECONDS" for each; a stream's operations are of 1 MiB.
 */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MIB = 1048576, FILE_MIB = 64 };

static double now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static char *buffer;
static double for_ms;

static int stats(long *operations, double until) {
  for (; now_ms() < until; ++*operations)
    if (client_stat("file") != 0) return -1;
  return 0;
}

static int creates_and_removes(long *operations, double until) {
  for (; now_ms() < until; ++*operations)
    if (client_create_and_remove("name") != 0) return -1;
  return 0;
}

static int stream(long *operations, double until, int writing) {
  while (now_ms() < until) {
    if (client_begin("file", writing) != 0) return -1;
    for (off_t at = 0; at < FILE_MIB; at++, ++*operations)
      if ((writing ? client_write(buffer, MIB, at * MIB) : client_read(buffer, MIB, at * MIB)) != 0) return -1;
    if (client_end(writing) != 0) return -1;
  }
  return 0;
}

static int writes(long *operations, double until) { return stream(operations, until, 1); }
static int reads(long *operations, double until) { return stream(operations, until, 0); }

int main(int count, char **arguments) {
  static const struct {
    const char *name;
    int (*run)(long *operations, double until);
  } workloads[] = {{"write", writes}, {"read", reads}, {"stat", stats}, {"createRemove", creates_and_removes}};
  if (count != 3 || client_open(arguments[1]) != 0) return 2;
  for_ms = atof(arguments[2]);
  if (posix_memalign((void **)&buffer, 4096, MIB) != 0) return 2;
  memset(buffer, 'x', MIB);
  for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++) {
    long operations = 0;
    const double began = now_ms();
    if (workloads[i].run(&operations, began + for_ms) != 0) {
      fprintf(stderr, "%s failed\n", workloads[i].name);
      return 1;
    }
    printf("WORKLOAD %s %ld %.3f\n", workloads[i].name, operations, now_ms() - began);
    fflush(stdout);
  }
  return 0;
}
