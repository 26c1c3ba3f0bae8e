#include "user.h"

#include "../format.h"

void exit(int status)
{
    system_call(SYS_EXIT, status);
    for (;;)
        ;
}

int fork(void)
{
    return system_call(SYS_FORK);
}

int read(void *buffer, size_t size)
{
    return system_call(SYS_READ, 0, buffer, size);
}

int write(const void *buffer, size_t size)
{
    return system_call(SYS_WRITE, 1, buffer, size);
}

int exec(const char *name, const char *arguments)
{
    return system_call(SYS_EXEC, name, arguments);
}

int wait(int pid, int *status, bool block)
{
    return system_call(SYS_WAIT, pid, status, block);
}

int getpid(void)
{
    return system_call(SYS_GETPID);
}

void yield(void)
{
    system_call(SYS_YIELD);
}

void sleep(uint32_t milliseconds)
{
    system_call(SYS_SLEEP, milliseconds);
}

void *sbrk(uint32_t bytes)
{
    return (void *)system_call(SYS_SBRK, bytes);
}

uint32_t uptime(void)
{
    return (uint32_t)system_call(SYS_UPTIME);
}

int kill(int pid)
{
    return system_call(SYS_KILL, pid);
}

int report(int which, char *buffer, size_t size)
{
    return system_call(SYS_REPORT, which, buffer, size);
}

void halt(void)
{
    system_call(SYS_HALT);
}

volatile uint32_t *share(void)
{
    return (volatile uint32_t *)system_call(SYS_SHARE);
}

void detach(void)
{
    system_call(SYS_DETACH);
}

/* One write per call of print: the line stays whole when several programs print. */
static void put_text(void *where, char c)
{
    struct text *text = where;
    if (text->length < text->size)
        text->bytes[text->length++] = c;
}

void print(const char *form, ...)
{
    char bytes[256];
    struct text text = {bytes, sizeof bytes, 0};
    va_list arguments;
    va_start(arguments, form);
    format(put_text, &text, form, arguments);
    va_end(arguments);
    write(text.bytes, text.length);
}

uint32_t number(const char *text, uint32_t otherwise)
{
    uint32_t value = 0;
    while (*text == ' ')
        text++;
    if (*text < '0' || *text > '9')
        return otherwise;
    for (; *text >= '0' && *text <= '9'; text++)
        value = value * 10 + (uint32_t)(*text - '0');
    return value;
}
