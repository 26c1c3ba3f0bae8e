#ifndef ADDRESS_SPACE_H
#define ADDRESS_SPACE_H

#include <stdint.h>

/* An address space is named by the physical address of its page directory: what CR3 holds. 0: no memory. */
uint32_t address_space_create(void);
uint32_t address_space_fork(uint32_t directory);
void address_space_destroy(uint32_t directory);

#endif
