/* One line per check on the first serial port: ok NAME, skip NAME (why), or FAIL NAME expected .. got .. */
#include "support/bare.h"

#include "../../kernel/format.h"

#define COM1 0x3F8
#define LSR_THR_EMPTY 0x20
#define DEBUG_EXIT 0xF4 /* on QEMU: isa-debug-exit */

static uint32_t checks, failures;

static void put(void *where, char c)
{
    (void)where;
    if (c == '\n')
        put(where, '\r');
    while (!(inb(COM1 + 5) & LSR_THR_EMPTY))
        ;
    outb(COM1, (uint8_t)c);
}

void print(const char *text, ...)
{
    va_list arguments;
    va_start(arguments, text);
    format(put, NULL, text, arguments);
    va_end(arguments);
}

void check(const char *name, uint32_t expected, uint32_t got)
{
    checks++;
    if (got == expected) {
        print("ok %s\n", name);
        return;
    }
    failures++;
    print("FAIL %s expected %x got %x\n", name, expected, got);
}

static void print_trap(uint32_t vector, uint32_t error, uint32_t eip)
{
    if (vector == NO_TRAP) {
        print("no trap");
        return;
    }
    print("vector %u", vector);
    if (error != ANY)
        print(" error %x", error);
    if (eip != ANY)
        print(" eip %x", eip);
}

void check_trap(const char *name, struct outcome got, uint32_t vector, uint32_t error, const char *eip)
{
    uint32_t at = (uint32_t)eip;
    const struct trap_frame *f = &got.frame;
    checks++;
    if (f->vector == vector && (vector == NO_TRAP || ((error == ANY || f->error == error) &&
                                                       (at == ANY || f->eip == at)))) {
        print("ok %s\n", name);
        return;
    }
    failures++;
    print("FAIL %s expected ", name);
    print_trap(vector, error, at);
    print(" got ");
    print_trap(f->vector, f->error, f->eip);
    print("\n");
}

void skip(const char *name, const char *why)
{
    print("skip %s (%s)\n", name, why);
}

void finish(const char *program)
{
    if (failures)
        print("%s: FAIL, %u of %u checks\n", program, failures, checks);
    else
        print("%s: PASS, %u checks\n", program, checks);
    outb(DEBUG_EXIT, failures ? 2 : 1);
    for (;;)
        __asm__ volatile("cli; hlt");
}
