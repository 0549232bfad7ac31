/* A vendor's library at its best and at its worst. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

extern char **environ;

int add(int a, int b) { return a + b; }
unsigned add_unsigned(unsigned a, unsigned b) { return a + b; }
int64_t multiply(int64_t a, int64_t b) { return a * b; }
uint64_t most(void) { return UINT64_MAX; }
double mix(double a, float b, int c, float d) { return a + b * c - d; }
float halve(float a) { return a / 2; }
int sum(int a, int b, int c, int d, int e, int f, int g, int h, int i, int j, int k, int l, int m, int n, int o, int p) {
  return a + b + c + d + e + f + g + h + i + j + k + l + m + n + o + p;
}

struct info { uint32_t version; uint32_t flags; double load; char name[16]; };
int fill(struct info *info, unsigned size) {
  if (size < sizeof *info) return -1;
  info->version = 7; info->flags = 0x80000001u; info->load = 0.5;
  strcpy(info->name, "stub");
  return 0;
}
void reverse(unsigned char *bytes, unsigned length) {
  for (unsigned i = 0; i < length / 2; i++) {
    unsigned char other = bytes[i];
    bytes[i] = bytes[length - 1 - i]; bytes[length - 1 - i] = other;
  }
}
uint64_t total(const unsigned char *bytes, unsigned length) {
  uint64_t total = 0;
  for (unsigned i = 0; i < length; i++) total += bytes[i];
  return total;
}
/* Doubles what is in each place. */
int places(int32_t *a, uint32_t *b, int64_t *c, uint64_t *d, float *e, double *f) {
  *a *= 2; *b *= 2; *c *= 2; *d *= 2; *e *= 2; *f *= 2;
  return 0;
}
int is_null(const void *pointer) { return pointer == NULL; }
int text_is_null(const char *text) { return text == NULL; }

const char *greet(const char *name) {
  static char text[128];
  snprintf(text, sizeof text, "hello, %s", name);
  return text;
}
const char *no_text(void) { return NULL; }
const char *latin(void) { return "caf\xe9"; }
const char *long_text(unsigned length) {
  char *text = malloc(length + 1);
  memset(text, 'x', length); text[length] = 0;
  return text;
}

struct counter { int next; };
int counter_new(int first, struct counter **counter) {
  if (first < 0) { *counter = NULL; return -1; }
  *counter = malloc(sizeof **counter);
  (*counter)->next = first;
  return 0;
}
int counter_next(struct counter *counter) { return counter->next++; }
void *numbered(unsigned number) { return (void *)(uintptr_t)(number * 16); }

void segfault(void) { raise(SIGSEGV); *(volatile int *)8 = 1; }
void abort_now(void) { fprintf(stderr, "assertion failed: stub\n"); abort(); }
void exit_now(int status) { exit(status); }
void hang(void) { fprintf(stderr, "hanging\n"); for (;;) pause(); }
void hang_elsewhere(void) { setpgid(0, getpgid(getppid())); hang(); }
void write_past(unsigned char *bytes, unsigned length) { memset(bytes, 0xee, length); }
int fork_sleeper(void) {
  int child = fork();
  if (child == 0) for (;;) pause();
  return child;
}

int print_much(void) {
  for (int i = 0; i < 100000; i++) {
    printf("line %d on standard output\n", i);
    if (i % 10 == 0) fprintf(stderr, "line %d on standard error\n", i);
  }
  fflush(stdout);
  return 1;
}
void complain(const char *what) { fprintf(stderr, "%s\n", what); }

static void *work(void *argument) { *(int *)argument += 1; return NULL; }
int in_a_thread(int number) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, work, &number)) return -1;
  pthread_join(thread, NULL);
  return number;
}

/* What the process is. */
int descriptors(void) {
  int open = 0;
  for (int i = 0; i < 1024; i++) open += fcntl(i, F_GETFD) != -1;
  return open;
}
int environment(void) {
  int count = 0;
  for (char **at = environ; *at; at++) count++;
  return count;
}
const char *variable(const char *name) { return getenv(name); }
const char *folder(void) {
  static char path[4096];
  return getcwd(path, sizeof path);
}
int confined(void) {
  struct rlimit core;
  int signal = 0;
  getrlimit(RLIMIT_CORE, &core);
  prctl(PR_GET_PDEATHSIG, &signal);
  return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 && core.rlim_max == 0 && signal == SIGKILL && getpgrp() == getpid();
}
int takes(int mebibytes) {
  char *memory = malloc((size_t)mebibytes << 20);
  if (!memory) return 0;
  memset(memory, 1, (size_t)mebibytes << 20);
  return memory[mebibytes] == 1;
}
int dies_first(void) {
  int score = -1;
  FILE *file = fopen("/proc/self/oom_score_adj", "r");
  if (!file || fscanf(file, "%d", &score) != 1) return -1;
  fclose(file);
  return score;
}
