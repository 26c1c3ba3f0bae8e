#include "paging.h"

#include <stddef.h>

#include "frames.h"
#include "x86.h"

/* boot.S mapped the first 4 MB; map the rest of memory the same way, and give up the copy at address 0. */
void paging_init(uint32_t memory_bytes)
{
    for (uint32_t base = 0x400000; base < memory_bytes; base += ENTRIES * PAGE_SIZE) {
        uint32_t table_frame = frame_allocate();
        entry_t *table = direct_map(table_frame);
        for (uint32_t i = 0; i < ENTRIES && base + i * PAGE_SIZE < memory_bytes; i++)
            table[i] = (base + i * PAGE_SIZE) | PTE_PRESENT | PTE_WRITABLE;
        kernel_page_directory[DIRECTORY_INDEX(KERNEL_BASE + base)] = table_frame | PTE_PRESENT | PTE_WRITABLE;
    }
    kernel_page_directory[0] = 0;
    write_cr3(physical_of(kernel_page_directory));
}

entry_t *page_table_entry(uint32_t directory, uint32_t linear)
{
    entry_t pde = ((entry_t *)direct_map(directory))[DIRECTORY_INDEX(linear)];
    if (!(pde & PTE_PRESENT))
        return NULL;
    return (entry_t *)direct_map(pde & ~PTE_FLAGS) + TABLE_INDEX(linear);
}

int map_page(uint32_t directory, uint32_t linear, uint32_t frame, uint32_t flags)
{
    entry_t *pde = (entry_t *)direct_map(directory) + DIRECTORY_INDEX(linear);
    if (!(*pde & PTE_PRESENT)) {
        uint32_t table = frame_allocate();
        if (!table)
            return 0;
        *pde = table | PTE_PRESENT | PTE_WRITABLE | PTE_USER; /* both levels must allow; the PTE decides */
    }
    *page_table_entry(directory, linear) = frame | flags | PTE_PRESENT | PTE_USER;
    return 1;
}
