#ifndef TERMINAL_H
#define TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

bool terminal_has_room(void);
void terminal_receive(char c);                   /* a key arrived (called by the interrupt handler) */
size_t terminal_read(char *to, size_t size);     /* waits for a line */
void terminal_write(const char *from, size_t size); /* waits for room on the serial line */

#endif
