/* An NE2000, driven by interrupts: National's DP8390D data sheet has the registers, the ring and remote DMA.
 *
 *   packet memory 4000h-7FFFh:  40-45 what is sent   46-7F the ring of what was received
 *   in front of each packet:    status, next page, length (2 bytes, with 4 of checksum)
 */
#include "ping.h"

#define BASE 0x300
#define DATA (BASE + 0x10)
#define RESET (BASE + 0x1F)
#define IRQ 9

enum { CR, PSTART, PSTOP, BNRY, TPSR, TBCR0, TBCR1, ISR, RSAR0, RSAR1, RBCR0, RBCR1, RCR, TCR, DCR, IMR };
enum { STOP = 0x01, START = 0x02, TRANSMIT = 0x04, READ_MEMORY = 0x08, WRITE_MEMORY = 0x10, NO_DMA = 0x20, PAGE1 = 0x40 };
enum { RECEIVED = 0x01, SENT = 0x02, OVERFLOW = 0x10, DMA_DONE = 0x40, WAS_RESET = 0x80 };
#define SEND_PAGE 0x40
#define FIRST_PAGE 0x46
#define LAST_PAGE 0x80

#define MASTER 0x20
#define SLAVE 0xA0
#define END_OF_INTERRUPT 0x20
#define PIT_CONTROL 0x43
#define PIT_CHANNEL_0 0x40
#define HUNDREDTH 11932 /* of 1.193182 MHz */

CODE(sti_hlt, "sti", "hlt");

uint8_t station[6];
static uint8_t next_page;

static void put(uint32_t port, uint32_t value)
{
    outb((uint16_t)(BASE + port), (uint8_t)value);
}

static uint8_t get(uint32_t port)
{
    return inb((uint16_t)(BASE + port));
}

static void dma(uint32_t address, uint32_t count, uint32_t command)
{
    put(ISR, DMA_DONE);
    put(RBCR0, count);
    put(RBCR1, count >> 8);
    put(RSAR0, address);
    put(RSAR1, address >> 8);
    put(CR, START | command);
}

static void load(void *to, uint32_t address, uint32_t count)
{
    uint32_t words = (count + 1) / 2;
    dma(address, words * 2, READ_MEMORY);
    __asm__ volatile("cld; rep insw" : "+D"(to), "+c"(words) : "d"(DATA) : "memory");
}

static void wait_for(uint32_t cause)
{
    for (uint32_t i = 0; i < 100000 && !(get(ISR) & cause); i++)
        ;
    put(ISR, cause);
}

static void interrupts_init(void)
{
    outb(MASTER, 0x11);
    outb(SLAVE, 0x11);
    outb(MASTER + 1, IRQ0);
    outb(SLAVE + 1, IRQ0 + 8);
    outb(MASTER + 1, 4);
    outb(SLAVE + 1, 2);
    outb(MASTER + 1, 1);
    outb(SLAVE + 1, 1);
    outb(MASTER + 1, 0xFA); /* the timer and the other chip */
    outb(SLAVE + 1, 0xFD);  /* the card */
    outb(PIT_CONTROL, 0x34);
    outb(PIT_CHANNEL_0, HUNDREDTH & 0xFF);
    outb(PIT_CHANNEL_0, HUNDREDTH >> 8);
}

bool card_init(void)
{
    uint8_t memory[32];
    outb(RESET, inb(RESET));
    wait_for(WAS_RESET);
    put(CR, NO_DMA | STOP);
    put(DCR, 0x49); /* words, FIFO of 8 bytes */
    load(memory, 0, sizeof memory);
    for (uint32_t i = 0; i < 6; i++)
        station[i] = memory[2 * i];
    if (memory[28] != 0x57 || memory[30] != 0x57)
        return false;
    interrupts_init();
    put(CR, NO_DMA | STOP);
    put(RCR, 0x04); /* this station, and broadcasts */
    put(TCR, 0x00);
    put(PSTART, FIRST_PAGE);
    put(PSTOP, LAST_PAGE);
    put(BNRY, FIRST_PAGE);
    put(ISR, 0xFF);
    put(IMR, RECEIVED | OVERFLOW);
    put(CR, PAGE1 | NO_DMA | STOP);
    for (uint32_t i = 0; i < 6; i++)
        put(1 + i, station[i]);
    next_page = FIRST_PAGE + 1;
    put(7, next_page); /* CURR */
    put(CR, NO_DMA | START);
    return true;
}

void card_send(const uint8_t *frame, uint32_t size)
{
    const void *from = frame;
    uint32_t words = (size + 1) / 2;
    dma(SEND_PAGE << 8, words * 2, WRITE_MEMORY);
    __asm__ volatile("cld; rep outsw" : "+S"(from), "+c"(words) : "d"(DATA) : "memory");
    wait_for(DMA_DONE);
    put(TPSR, SEND_PAGE);
    put(TBCR0, size);
    put(TBCR1, size >> 8);
    put(CR, NO_DMA | START | TRANSMIT);
    wait_for(SENT);
}

static uint32_t take(uint8_t *frame)
{
    uint8_t header[4];
    put(CR, PAGE1 | NO_DMA | START);
    uint8_t current = get(7);
    put(CR, NO_DMA | START);
    if (current == next_page)
        return NONE;
    load(header, (uint32_t)next_page << 8, 4);
    uint32_t size = header[2] + 256u * header[3] - 4;
    if (size > LARGEST)
        size = LARGEST;
    load(frame, ((uint32_t)next_page << 8) + 4, size); /* the card goes round the ring by itself */
    next_page = header[1];
    put(BNRY, next_page == FIRST_PAGE ? LAST_PAGE - 1 : next_page - 1u);
    return size;
}

uint32_t card_receive(uint8_t *frame, uint32_t ticks)
{
    for (uint32_t size; ticks;) {
        if ((size = take(frame)))
            return size;
        struct outcome got = run_ring0(sti_hlt);
        if (got.frame.vector == IRQ0 + IRQ) {
            put(ISR, RECEIVED | OVERFLOW);
            outb(SLAVE, END_OF_INTERRUPT);
        } else {
            ticks--;
        }
        outb(MASTER, END_OF_INTERRUPT);
    }
    return NONE;
}
