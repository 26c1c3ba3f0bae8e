#ifndef FRAMES_H
#define FRAMES_H

#include <stdbool.h>
#include <stdint.h>

void frames_init(uint32_t memory_bytes, uint32_t first_free); /* physical addresses */
uint32_t frame_allocate(void); /* physical address of a frame full of zeros, or 0: none left */
void frame_share(uint32_t frame);
void frame_release(uint32_t frame);
bool frame_is_shared(uint32_t frame);
uint32_t frames_total(void);
uint32_t frames_free(void);

#endif
