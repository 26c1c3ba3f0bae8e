/* pae: checks three-level paging with 64-bit entries, 4 KB and 2 MB pages, and no-execute.
 * Intel SDM vol. 3A, 4.4.
 *
 *   linear address  31 30 29      21 20      12 11        0
 *                  |PDPT | directory | table    | offset    |
 *   entry           63  62..52    51                     12 11..9  7  6  5  4  3  2  1  0
 *                  |NX| reserved | frame address           | AVL |PS| D| A|  |  | U| W| P|
 *
 * The linear addresses are those of paging32.c.
 */
#include "pae.h"

#define MSR_EFER 0xC0000080
#define EFER_NXE 0x800

entry_t pointers[4] __attribute__((aligned(32)));
entry_t directory[512] __attribute__((aligned(4096)));
entry_t target_table[512] __attribute__((aligned(4096)));
static entry_t low_table[512] __attribute__((aligned(4096)));

entry_t *target_pde(void)
{
    return &directory[TARGET_PAGE >> 21];
}

entry_t *target_pte(void)
{
    return &target_table[TARGET_PAGE >> 12 & 511];
}

void set_entries(entry_t pde_flags, entry_t pte_flags)
{
    *target_pde() = (uint32_t)target_table | pde_flags;
    *target_pte() = TARGET_FRAME | pte_flags;
    write_cr3((uint32_t)pointers);
}

void set_large(entry_t pde_flags)
{
    *target_pde() = (TARGET_FRAME & 0xFFE00000) | PS | pde_flags;
    write_cr3((uint32_t)pointers);
}

bool has_no_execute(void)
{
    return cpuid(0x80000000).eax >= 0x80000001 && (cpuid(0x80000001).edx >> 20 & 1);
}

void set_no_execute(bool on)
{
    write_msr(MSR_EFER, on ? EFER_NXE : 0);
    write_cr3((uint32_t)pointers);
}

static void map_program(void)
{
    for (uint32_t i = 0; i < 512; i++)
        low_table[i] = i * PAGE | P | W | (ring3_needs(i * PAGE) ? U : 0);
    directory[0] = (uint32_t)low_table | P | W | U;
    for (uint32_t address = 0x200000; address < 0x1000000; address += 0x200000)
        directory[address >> 21] = address | PS | P | W;
    pointers[0] = (uint32_t)directory | P;
}

int main(void)
{
    if (!(cpuid(1).edx >> 6 & 1)) {
        skip("pae", "not offered by this processor");
        finish("pae");
    }
    access_init();
    map_program();
    write_cr4(read_cr4() | CR4_PAE);
    write_cr3((uint32_t)pointers);
    write_cr0(read_cr0() | CR0_PG);
    rights(false);
    if (has_no_execute()) {
        set_no_execute(true);
        rights(true);
    } else {
        skip("no-execute", "not offered by this processor");
    }
    translation();
    finish("pae");
}
