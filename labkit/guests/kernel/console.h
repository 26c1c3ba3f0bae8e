#ifndef CONSOLE_H
#define CONSOLE_H

#include <stddef.h>

#include "trap.h"

void console_init(void);
void console_write(const char *bytes, size_t size);
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void halt(void) __attribute__((noreturn));
void panic(const struct trap_frame *frame, const char *why) __attribute__((noreturn));

#endif
