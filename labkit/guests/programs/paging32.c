/* paging32: checks two-level paging with 4 KB and 4 MB pages, every combination of rights.
 *
 * Rights, ring, access and CR0.WP; accessed and dirty bits; error codes; what the TLB may keep; restartable
 * faults. Intel SDM vol. 3A, 4.3.
 *
 *   linear:   0         program, pages for ring 0 except its text and the user stack (so the descriptor
 *                       tables, which the processor reads on behalf of ring 3, lie in ring 0 pages)
 *             800000h   4 MB mapped to itself, ring 0: to look at frames
 *             1000000h  the entry on trial
 */
#include "paging32.h"

uint32_t directory[1024] __attribute__((aligned(4096)));
uint32_t target_table[1024] __attribute__((aligned(4096)));
static uint32_t low_table[1024] __attribute__((aligned(4096)));
static uint32_t frame_table[1024] __attribute__((aligned(4096)));

uint32_t *target_pde(void)
{
    return &directory[TARGET_PAGE >> 22];
}

uint32_t *target_pte(void)
{
    return &target_table[TARGET_PAGE >> 12 & 1023];
}

void set_entries(uint32_t pde_flags, uint32_t pte_flags)
{
    *target_pde() = (uint32_t)target_table | pde_flags;
    *target_pte() = TARGET_FRAME | pte_flags;
    write_cr3((uint32_t)directory);
}

void set_large(uint32_t pde_flags)
{
    *target_pde() = (TARGET_FRAME & 0xFFC00000) | PS | pde_flags;
    write_cr3((uint32_t)directory);
}

void set_write_protect(bool on)
{
    write_cr0(on ? read_cr0() | CR0_WP : read_cr0() & ~(uint32_t)CR0_WP);
}

int main(void)
{
    access_init();
    for (uint32_t i = 0; i < 1024; i++) {
        low_table[i] = i * PAGE | P | W | (ring3_needs(i * PAGE) ? U : 0);
        frame_table[i] = (0x800000 + i * PAGE) | P | W;
    }
    directory[0] = (uint32_t)low_table | P | W | U;
    directory[0x800000 >> 22] = (uint32_t)frame_table | P | W;
    write_cr3((uint32_t)directory);
    write_cr0(read_cr0() | CR0_PG);
    rights();
    translation();
    restarts();
    finish("paging32");
}
