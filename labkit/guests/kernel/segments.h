#ifndef SEGMENTS_H
#define SEGMENTS_H

#include <stdint.h>

void segments_init(void);
void set_kernel_stack(uint32_t top);     /* where ESP starts at the next entry from ring 3 */
uint32_t kernel_stack_pointer_address(void); /* address of that word, for SYSENTER */

#endif
