/* The console: what the kernel and programs print goes to the serial line and to the screen. */
#include "console.h"

#include "format.h"
#include "serial.h"
#include "vga.h"
#include "x86.h"

static void put(void *where, char c)
{
    (void)where;
    serial_put(c);
    vga_put(c);
}

static void show(void)
{
    serial_start();
    vga_show_cursor();
}

void console_init(void)
{
    vga_init();
    serial_init();
}

void console_write(const char *bytes, size_t size)
{
    for (; size; size--)
        put(NULL, *bytes++);
    show();
}

void print(const char *text, ...)
{
    va_list arguments;
    va_start(arguments, text);
    format(put, NULL, text, arguments);
    va_end(arguments);
    show();
}

/* HLT with interrupts off: nothing but a reset wakes this processor again, and a monitor can tell. */
void halt(void)
{
    print("system halted\n");
    serial_drain();
    for (;;)
        __asm__ volatile("cli; hlt");
}

void panic(const struct trap_frame *f, const char *why)
{
    print("kernel panic: %s, error %x\n", why, f->error);
    print("eip %08x  eflags %08x  cr2 %08x  cr3 %08x\n", f->eip, f->eflags, read_cr2(), read_cr3());
    print("eax %08x  ebx %08x  ecx %08x  edx %08x\n", f->eax, f->ebx, f->ecx, f->edx);
    print("esi %08x  edi %08x  ebp %08x\n", f->esi, f->edi, f->ebp);
    halt();
}
