/* The two 8259A interrupt controllers: 15 request lines become vectors 20h to 2Fh.
 * (The BIOS leaves them at 8 to F, where the processor's exceptions are.)
 */
#include "pic.h"

#include "layout.h"
#include "x86.h"

#define MASTER 0x20 /* command port; data is the next */
#define SLAVE 0xA0
#define ICW1_INIT_ICW4 0x11 /* edge triggered, cascaded, a fourth command word follows */
#define ICW4_8086 0x01
#define OCW2_END_OF_INTERRUPT 0x20
#define OCW3_READ_IN_SERVICE 0x0B

static uint16_t mask = 0xFFFF & ~(1 << 2); /* line 2 is the slave */

static void write_mask(void)
{
    outb(MASTER + 1, (uint8_t)mask);
    outb(SLAVE + 1, (uint8_t)(mask >> 8));
}

void pic_init(void)
{
    outb(MASTER, ICW1_INIT_ICW4);
    outb(SLAVE, ICW1_INIT_ICW4);
    outb(MASTER + 1, VECTOR_IRQ0);
    outb(SLAVE + 1, VECTOR_IRQ0 + 8);
    outb(MASTER + 1, 1 << 2); /* the slave is on line 2 */
    outb(SLAVE + 1, 2);
    outb(MASTER + 1, ICW4_8086);
    outb(SLAVE + 1, ICW4_8086);
    write_mask();
}

void pic_enable(uint32_t irq)
{
    mask &= (uint16_t) ~(1 << irq);
    write_mask();
}

/* A request that goes away before it is acknowledged still gives a vector: that of line 7 or 15. */
bool pic_is_real(uint32_t irq)
{
    if (irq != 7 && irq != 15)
        return true;
    uint16_t chip = irq < 8 ? MASTER : SLAVE;
    outb(chip, OCW3_READ_IN_SERVICE);
    bool real = inb(chip) & 0x80;
    if (!real && irq == 15)
        outb(MASTER, OCW2_END_OF_INTERRUPT); /* the master did see a request from the slave */
    return real;
}

void pic_end_of_interrupt(uint32_t irq)
{
    if (irq >= 8)
        outb(SLAVE, OCW2_END_OF_INTERRUPT);
    outb(MASTER, OCW2_END_OF_INTERRUPT);
}
