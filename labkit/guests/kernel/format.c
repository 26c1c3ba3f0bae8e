#include "format.h"

#include <stdbool.h>
#include <stdint.h>

#include "memory.h"

struct field {
    size_t width;
    bool left, zeros;
};

static void put_padded(put_function put, void *where, struct field field, const char *s, size_t length)
{
    size_t padding = field.width > length ? field.width - length : 0;
    if (!field.left)
        for (; padding; padding--)
            put(where, field.zeros ? '0' : ' ');
    for (; length; length--)
        put(where, *s++);
    for (; padding; padding--)
        put(where, ' ');
}

static void put_number(put_function put, void *where, struct field field, uint32_t value, uint32_t base,
                       bool minus)
{
    char digits[12];
    size_t at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    if (minus)
        digits[--at] = '-';
    put_padded(put, where, field, digits + at, sizeof digits - at);
}

static void put_conversion(put_function put, void *where, struct field field, char kind, va_list *arguments)
{
    if (kind == 's') {
        const char *s = va_arg(*arguments, const char *);
        put_padded(put, where, field, s, string_length(s));
    } else if (kind == 'c') {
        char c = (char)va_arg(*arguments, int);
        put_padded(put, where, field, &c, 1);
    } else if (kind == 'd') {
        int value = va_arg(*arguments, int);
        put_number(put, where, field, value < 0 ? -(uint32_t)value : (uint32_t)value, 10, value < 0);
    } else if (kind == 'u' || kind == 'x') {
        put_number(put, where, field, va_arg(*arguments, uint32_t), kind == 'x' ? 16 : 10, false);
    } else {
        put(where, kind);
    }
}

void format(put_function put, void *where, const char *text, va_list arguments)
{
    va_list list;
    va_copy(list, arguments);
    for (; *text; text++) {
        if (*text != '%') {
            put(where, *text);
            continue;
        }
        struct field field = {0};
        for (text++; *text == '-' || *text == '0'; text++)
            *(*text == '-' ? &field.left : &field.zeros) = true;
        for (; *text >= '0' && *text <= '9'; text++)
            field.width = field.width * 10 + (size_t)(*text - '0');
        put_conversion(put, where, field, *text, &list);
    }
    va_end(list);
}

static void put_text(void *where, char c)
{
    struct text *text = where;
    if (text->length < text->size)
        text->bytes[text->length++] = c;
}

void text_add(struct text *text, const char *form, ...)
{
    va_list arguments;
    va_start(arguments, form);
    format(put_text, text, form, arguments);
    va_end(arguments);
}
