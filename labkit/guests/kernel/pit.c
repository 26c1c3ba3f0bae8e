/* The 8254 timer: channel 0 interrupts 100 times a second.
 *
 * Control word, port 43h:   7   6   5   4   3   2   1   0
 *                         | channel| access|   mode    |BCD|    access 3 = low byte, then high; mode 2 = rate
 */
#include "pit.h"

#include "pic.h"
#include "process.h"
#include "scheduler.h"
#include "x86.h"

#define PIT_CHANNEL_0 0x40
#define PIT_CONTROL 0x43
#define PIT_HZ 1193182
#define CHANNEL_0_RATE 0x34

uint32_t ticks;

void pit_init(void)
{
    uint32_t divisor = (PIT_HZ + TIMER_HZ / 2) / TIMER_HZ;
    outb(PIT_CONTROL, CHANNEL_0_RATE);
    outb(PIT_CHANNEL_0, (uint8_t)divisor);
    outb(PIT_CHANNEL_0, (uint8_t)(divisor >> 8));
    pic_enable(IRQ_TIMER);
}

void timer_tick(void)
{
    ticks++;
    current->ticks++;
    wake_sleepers();
}
