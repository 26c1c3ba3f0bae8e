#ifndef PIC_H
#define PIC_H

#include <stdbool.h>
#include <stdint.h>

#define IRQ_TIMER 0
#define IRQ_SERIAL 4

void pic_init(void);
void pic_enable(uint32_t irq);
bool pic_is_real(uint32_t irq);
void pic_end_of_interrupt(uint32_t irq);

#endif
