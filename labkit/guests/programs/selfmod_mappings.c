/* The same code at other linear addresses, other code at the same linear address: what counts is the frame.
 * (A store through another linear address needs a serializing instruction, CPUID, before the code is run.)
 */
#include "selfmod.h"

#define PAGE 4096u
#define WINDOW 0x00800000u
#define ALIAS (WINDOW + 0x10 * PAGE)

enum { PRESENT = 1, WRITABLE = 2, USER = 4 };

static uint32_t directory[1024] __attribute__((aligned(4096)));
static uint32_t other_directory[1024] __attribute__((aligned(4096)));
static uint32_t low_table[1024] __attribute__((aligned(4096)));
static uint32_t window_table[1024] __attribute__((aligned(4096)));
static uint32_t other_table[1024] __attribute__((aligned(4096)));
static uint8_t frames[2][4096] __attribute__((aligned(4096)));

CODE(call_window, "movl $0x00800000, %ecx; call *%ecx", END);

static uint32_t entry(const void *frame)
{
    return (uint32_t)frame | PRESENT | WRITABLE | USER;
}

/* MOV $value, %EAX; RET */
static void write_code(uint8_t *at, uint32_t v)
{
    at[0] = 0xB8;
    memcpy(at + 1, &v, 4);
    at[5] = 0xC3;
}

static void map(uint32_t *table, uint32_t linear, const void *frame)
{
    table[linear >> 12 & 1023] = entry(frame);
    invlpg(linear);
}

static void stores_through_an_alias(void)
{
    map(window_table, WINDOW, frames[0]);
    map(window_table, ALIAS, frames[0]);
    write_code(frames[0], 1);
    check("code at its second address", 1, result(call_window));
    write_code((uint8_t *)ALIAS, 2);
    cpuid(0);
    check("stored through a third", 2, result(call_window));
    write_code(frames[0], 3);
    cpuid(0);
    check("stored through the first", 3, result(call_window));
}

static void other_frame(void)
{
    write_code(frames[0], 4);
    write_code(frames[1], 5);
    map(window_table, WINDOW, frames[0]);
    check("one frame", 4, result(call_window));
    map(window_table, WINDOW, frames[1]);
    check("another frame at the same address", 5, result(call_window));
    write_code(frames[0], 6);
    map(window_table, WINDOW, frames[0]);
    check("changed while it was not mapped here", 6, result(call_window));
}

static void other_address_space(void)
{
    write_code(frames[0], 7);
    write_code(frames[1], 8);
    map(window_table, WINDOW, frames[0]);
    other_table[0] = entry(frames[1]);
    for (int round = 0; round < 2; round++) {
        write_cr3((uint32_t)directory);
        check("one address space", 7, result(call_window));
        write_cr3((uint32_t)other_directory);
        check("the other one", 8, result(call_window));
    }
    write_cr3((uint32_t)directory);
}

/* Read-only code, made writable, changed, and protected again, as a loader of programs does. */
static void protected_code(void)
{
    write_cr0(read_cr0() | CR0_WP);
    write_code(frames[0], 9);
    window_table[0] = (uint32_t)frames[0] | PRESENT;
    invlpg(WINDOW);
    check("read-only code", 9, result(call_window));
    map(window_table, WINDOW, frames[0]);
    write_code((uint8_t *)WINDOW, 10);
    window_table[0] = (uint32_t)frames[0] | PRESENT;
    invlpg(WINDOW);
    check("changed and protected again", 10, result(call_window));
    write_cr0(read_cr0() & ~(uint32_t)CR0_WP);
}

void mappings(void)
{
    for (uint32_t i = 0; i < 1024; i++)
        low_table[i] = i * PAGE | PRESENT | WRITABLE | USER;
    directory[0] = other_directory[0] = entry(low_table);
    directory[WINDOW >> 22] = entry(window_table);
    other_directory[WINDOW >> 22] = entry(other_table);
    write_cr3((uint32_t)directory);
    write_cr0(read_cr0() | CR0_PG);
    stores_through_an_alias();
    other_frame();
    other_address_space();
    protected_code();
    write_cr0(read_cr0() & ~CR0_PG);
}
