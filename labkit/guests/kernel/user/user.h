/* What a program can call. */
#ifndef USER_H
#define USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../memory.h"
#include "../syscall_numbers.h"

#define PAGE_SIZE 4096

int main(const char *arguments); /* what stood after the program's name */

int system_call(int number, ...);      /* INT 80h */
int system_call_fast(int number, ...); /* SYSENTER */

void exit(int status) __attribute__((noreturn));
int fork(void);
int read(void *buffer, size_t size);
int write(const void *buffer, size_t size);
int exec(const char *name, const char *arguments);
int wait(int pid, int *status, bool block);
int getpid(void);
void yield(void);
void sleep(uint32_t milliseconds);
void *sbrk(uint32_t bytes);
uint32_t uptime(void);
int kill(int pid);
int report(int which, char *buffer, size_t size);
void halt(void);
volatile uint32_t *share(void);
void detach(void);

void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint32_t number(const char *text, uint32_t otherwise); /* decimal; OTHERWISE if there is none */

#endif
