/* Physical frame allocator: memory in units of 4 KB, one reference count each. 0 = free.
 * Counts rather than bits, because after fork two address spaces have the same frame until one writes.
 * Free frames are not touched (a list threaded through them would be): memory that is not used stays unused.
 */
#include "frames.h"

#include "layout.h"
#include "memory.h"
#include "paging.h"

static uint8_t references[MAX_MEMORY / PAGE_SIZE];
static uint32_t total, free_count;
static uint32_t next; /* no frame below is free */

void frames_init(uint32_t memory_bytes, uint32_t first_free)
{
    total = memory_bytes / PAGE_SIZE;
    next = first_free / PAGE_SIZE;
    memset(references, 1, next); /* the first MB (BIOS, screen) and the kernel are never freed */
    free_count = total - next;
}

uint32_t frame_allocate(void)
{
    while (next < total && references[next])
        next++;
    if (next >= total)
        return 0;
    references[next] = 1;
    free_count--;
    uint32_t frame = next * PAGE_SIZE;
    memset(direct_map(frame), 0, PAGE_SIZE);
    return frame;
}

void frame_share(uint32_t frame)
{
    references[frame / PAGE_SIZE]++;
}

bool frame_is_shared(uint32_t frame)
{
    return references[frame / PAGE_SIZE] > 1;
}

void frame_release(uint32_t frame)
{
    uint32_t number = frame / PAGE_SIZE;
    if (--references[number])
        return;
    free_count++;
    if (number < next)
        next = number;
}

uint32_t frames_total(void)
{
    return total;
}

uint32_t frames_free(void)
{
    return free_count;
}
