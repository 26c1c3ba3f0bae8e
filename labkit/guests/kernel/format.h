/* printf's idea without printf's size: %s %c %d %u %x %%, with width, '-' (left) and '0' (zeros in front). */
#ifndef FORMAT_H
#define FORMAT_H

#include <stdarg.h>
#include <stddef.h>

typedef void (*put_function)(void *where, char c);

void format(put_function put, void *where, const char *text, va_list arguments);

/* Text that grows inside a buffer of fixed size; what does not fit is dropped. */
struct text {
    char *bytes;
    size_t size, length;
};
void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
