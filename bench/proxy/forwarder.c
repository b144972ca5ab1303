/*
 * forwarder LISTENPORT TARGETPORT: passes bytes on between clients and one server, on loopback. As fast as a plain forwarder can
 * be: a thread for each connection, bytes spliced through pipes in both directions. No failover, no bounds, nothing kept.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIPE_SIZE = 1 << 20 };

static uint16_t target_port;

static struct sockaddr_in loopback(uint16_t port) {
  struct sockaddr_in address = {0};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static void no_delay(int fd) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* 1: goes on; 0: the connection is over. */
static int pass(int from, int to, const int pipe_fds[2]) {
  ssize_t size = splice(from, NULL, pipe_fds[1], NULL, PIPE_SIZE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (size < 0) return errno == EAGAIN || errno == EINTR;
  if (size == 0) return 0;
  while (size > 0) {
    ssize_t passed = splice(pipe_fds[0], NULL, to, NULL, (size_t)size, SPLICE_F_MOVE);
    if (passed < 0 && errno == EINTR) continue;
    if (passed <= 0) return 0;
    size -= passed;
  }
  return 1;
}

static void *serve(void *argument) {
  int client = (int)(intptr_t)argument;
  int server = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = loopback(target_port);
  int up[2], down[2];
  if (server < 0 || connect(server, (struct sockaddr *)&address, sizeof address) < 0) exit(1);
  if (pipe(up) < 0 || pipe(down) < 0) exit(1);
  fcntl(up[1], F_SETPIPE_SZ, PIPE_SIZE);
  fcntl(down[1], F_SETPIPE_SZ, PIPE_SIZE);
  no_delay(client);
  no_delay(server);
  struct pollfd fds[2] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
  for (int open = 1; open && (poll(fds, 2, -1) >= 0 || errno == EINTR);) {
    if (fds[0].revents) open = pass(client, server, up);
    if (open && fds[1].revents) open = pass(server, client, down);
  }
  int all[] = {client, server, up[0], up[1], down[0], down[1]};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) close(all[i]);
  return NULL;
}

int main(int count, char **arguments) {
  if (count != 3) return 2;
  target_port = (uint16_t)atoi(arguments[2]);
  signal(SIGPIPE, SIG_IGN);
  int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  struct sockaddr_in address = loopback((uint16_t)atoi(arguments[1]));
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 64) < 0) {
    perror("listen");
    return 1;
  }
  for (;;) {
    int client = accept(listener, NULL, NULL);
    if (client < 0) continue;
    pthread_t thread;
    if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)client) != 0) return 1;
    pthread_detach(thread);
  }
}
