/* The four functions that the compiler itself calls, and strings. */
#ifndef MEMORY_H
#define MEMORY_H

#include <stdbool.h>
#include <stddef.h>

void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);

size_t string_length(const char *s);
bool string_equal(const char *a, const char *b);
void string_copy(char *to, const char *from, size_t size); /* cuts; always ends with 0 */

#endif
