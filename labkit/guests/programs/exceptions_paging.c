/* The page fault: all error codes that two-level paging without NX can give. paging32 and pae go deeper.
 *
 * Error code:   bit 2 = from ring 3   bit 1 = write   bit 0 = the page was present
 */
#include "exceptions.h"

#define PAGE 0x00300000

static uint32_t directory[1024] __attribute__((aligned(4096)));
static uint32_t table[1024] __attribute__((aligned(4096)));

CODE(read_page, "", "movl 0x00300123, %eax");
CODE(write_page, "", "movl %eax, 0x00300123");
CODE(call_page, "movl $0x00300123, %eax", "jmp *%eax");

enum { PRESENT = 1, WRITABLE = 2, USER = 4 };

static struct outcome with_page(uint32_t flags, bool user, const char *code)
{
    table[PAGE >> 12] = PAGE | flags;
    write_cr3((uint32_t)directory);
    write_cr0(read_cr0() | CR0_PG | CR0_WP);
    struct outcome got = user ? run_ring3(code, 0) : run_ring0(code);
    write_cr0(read_cr0() & ~(CR0_PG | CR0_WP));
    return got;
}

static void expect(const char *name, struct outcome got, uint32_t error, const char *eip)
{
    check_trap(name, got, PF, error, eip);
    check("  its cr2", PAGE + 0x123, got.cr2);
}

void page_faults(void)
{
    for (uint32_t i = 0; i < 1024; i++)
        table[i] = i << 12 | PRESENT | WRITABLE | USER;
    directory[0] = (uint32_t)table | PRESENT | WRITABLE | USER;
    expect("pf ring 0 reads no page", with_page(0, false, read_page), 0, read_page_at);
    expect("pf ring 0 writes no page", with_page(0, false, write_page), 2, write_page_at);
    expect("pf ring 0 executes no page", with_page(0, false, call_page), 0, (char *)PAGE + 0x123);
    expect("pf ring 0 writes read only", with_page(PRESENT, false, write_page), 3, write_page_at);
    expect("pf ring 3 reads no page", with_page(0, true, read_page), 4, read_page_at);
    expect("pf ring 3 writes no page", with_page(0, true, write_page), 6, write_page_at);
    expect("pf ring 3 reads supervisor", with_page(PRESENT | WRITABLE, true, read_page), 5, read_page_at);
    expect("pf ring 3 writes read only", with_page(PRESENT | USER, true, write_page), 7, write_page_at);
    expect("pf ring 3 executes supervisor", with_page(PRESENT, true, call_page), 5, (char *)PAGE + 0x123);
    check_trap("ring 3 reads its page", with_page(PRESENT | USER, true, read_page), NO_TRAP, 0, 0);
}
