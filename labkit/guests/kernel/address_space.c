/* Address spaces: each has its own lower 3 GB; the upper 1 GB, the kernel, is the same in all of them. */
#include "address_space.h"

#include <stdbool.h>
#include <stddef.h>

#include "frames.h"
#include "memory.h"
#include "paging.h"
#include "x86.h"

uint32_t address_space_create(void)
{
    uint32_t directory = frame_allocate();
    if (directory) {
        entry_t *entries = direct_map(directory);
        memcpy(entries + FIRST_KERNEL_ENTRY, kernel_page_directory + FIRST_KERNEL_ENTRY,
               (ENTRIES - FIRST_KERNEL_ENTRY) * sizeof *entries);
    }
    return directory;
}

/* Copy-on-write: parent and child get the same frame, neither may write to it. The first write faults, and
 * page_fault.c makes the copy. Most pages are never written again, so most copies are never made. */
static bool fork_page(uint32_t child, uint32_t linear, entry_t *pte)
{
    if ((*pte & PTE_WRITABLE) && !(*pte & PTE_SHARED))
        *pte = (*pte & ~PTE_WRITABLE) | PTE_COPY_ON_WRITE;
    frame_share(*pte & ~PTE_FLAGS);
    if (map_page(child, linear, *pte & ~PTE_FLAGS, *pte & (PTE_WRITABLE | PTE_COPY_ON_WRITE | PTE_SHARED)))
        return true;
    frame_release(*pte & ~PTE_FLAGS);
    return false;
}

static bool fork_table(uint32_t child, uint32_t base, entry_t *table)
{
    for (uint32_t i = 0; i < ENTRIES; i++)
        if ((table[i] & PTE_PRESENT) && !fork_page(child, base + i * PAGE_SIZE, table + i))
            return false;
    return true;
}

uint32_t address_space_fork(uint32_t directory)
{
    uint32_t child = address_space_create();
    entry_t *entries = direct_map(directory);
    bool complete = child != 0;
    for (uint32_t i = 0; complete && i < FIRST_KERNEL_ENTRY; i++)
        if (entries[i] & PTE_PRESENT)
            complete = fork_table(child, i << 22, direct_map(entries[i] & ~PTE_FLAGS));
    write_cr3(read_cr3()); /* the TLB may still hold writable translations of pages that are read-only now */
    if (child && !complete) {
        address_space_destroy(child);
        return 0;
    }
    return child;
}

void address_space_destroy(uint32_t directory)
{
    entry_t *entries = direct_map(directory);
    for (uint32_t i = 0; i < FIRST_KERNEL_ENTRY; i++) {
        if (!(entries[i] & PTE_PRESENT))
            continue;
        entry_t *table = direct_map(entries[i] & ~PTE_FLAGS);
        for (uint32_t j = 0; j < ENTRIES; j++)
            if (table[j] & PTE_PRESENT)
                frame_release(table[j] & ~PTE_FLAGS);
        frame_release(entries[i] & ~PTE_FLAGS);
    }
    frame_release(directory);
}
