/* COM1, a 16550: 115200 baud, 8N1, interrupt-driven both ways.
 *
 *  +0 RBR (read) / THR (write)   data; 16-byte FIFO each way
 *  +1 IER   bit 0 = interrupt on received data, bit 1 = on transmitter empty
 *  +2 FCR   FIFO control
 *  +3 LCR   3 = 8 data bits, no parity, 1 stop bit; bit 7 (DLAB) = +0 and +1 are the baud divisor
 *  +4 MCR   bits 0,1 = DTR, RTS; bit 3 = OUT2, which on a PC connects the chip to the interrupt controller
 *  +5 LSR   bit 0 = data ready, bit 5 = THR (its whole FIFO) empty, bit 6 = all sent
 */
#include "serial.h"

#include <stdbool.h>
#include <stdint.h>

#include "pic.h"
#include "scheduler.h"
#include "terminal.h"
#include "x86.h"

#define COM1 0x3F8
#define DATA (COM1 + 0)
#define IER (COM1 + 1)
#define IIR (COM1 + 2)
#define FCR (COM1 + 2)
#define LCR (COM1 + 3)
#define MCR (COM1 + 4)
#define LSR (COM1 + 5)

#define IER_RECEIVED 0x01
#define IER_TRANSMITTER_EMPTY 0x02
#define LCR_8N1 0x03
#define LCR_DLAB 0x80
#define FCR_ENABLE_CLEAR 0x07
#define MCR_DTR_RTS_OUT2 0x0B
#define MCR_LOOPBACK 0x10
#define LSR_DATA_READY 0x01
#define LSR_THR_EMPTY 0x20
#define LSR_ALL_SENT 0x40

#define FIFO_SIZE 16
#define RING_SIZE 4096

static char ring[RING_SIZE];
static uint32_t ring_in, ring_out; /* count up for ever; the difference is what waits */
static uint8_t enabled;            /* IER as last written: port writes are dear, only changes are written */

static void enable(uint8_t value)
{
    if (value != enabled)
        outb(IER, enabled = value);
}

/* Enabling the FIFOs empties them. Loopback cuts the line meanwhile, and what had come before is kept. */
void serial_init(void)
{
    outb(LCR, LCR_8N1);
    outb(MCR, MCR_LOOPBACK);
    bool early = inb(LSR) & LSR_DATA_READY;
    char typed = early ? (char)inb(DATA) : 0;
    outb(LCR, LCR_DLAB);
    outb(DATA, 1); /* divisor 1 = 115200 baud */
    outb(IER, 0);
    outb(LCR, LCR_8N1);
    outb(FCR, FCR_ENABLE_CLEAR);
    outb(MCR, MCR_DTR_RTS_OUT2);
    outb(IER, enabled = IER_RECEIVED);
    if (early)
        terminal_receive(typed);
    pic_enable(IRQ_SERIAL);
}

size_t serial_room(void)
{
    return RING_SIZE - (ring_in - ring_out);
}

static void send_fifo_full(void)
{
    for (int n = 0; n < FIFO_SIZE && ring_out != ring_in; n++)
        outb(DATA, (uint8_t)ring[ring_out++ % RING_SIZE]);
}

static void put_raw(char c)
{
    if (ring_in - ring_out == RING_SIZE) {
        while (!(inb(LSR) & LSR_THR_EMPTY))
            ;
        send_fifo_full();
    }
    ring[ring_in++ % RING_SIZE] = c;
}

void serial_put(char c)
{
    if (c == '\n')
        put_raw('\r');
    put_raw(c);
}

void serial_start(void)
{
    if (ring_in == ring_out || (enabled & IER_TRANSMITTER_EMPTY))
        return; /* nothing to send, or the interrupt will send it */
    if (inb(LSR) & LSR_THR_EMPTY)
        send_fifo_full();
    if (ring_in != ring_out)
        enable(enabled | IER_TRANSMITTER_EMPTY);
}

void serial_drain(void)
{
    while (ring_out != ring_in)
        if (inb(LSR) & LSR_THR_EMPTY)
            send_fifo_full();
    while (!(inb(LSR) & LSR_ALL_SENT))
        ;
}

static void receive(void)
{
    while (inb(LSR) & LSR_DATA_READY) {
        if (!terminal_has_room()) {
            enable(enabled & (uint8_t)~IER_RECEIVED); /* leave the rest in the FIFO until a program reads */
            return;
        }
        terminal_receive((char)inb(DATA));
    }
}

void serial_resume_input(void)
{
    enable(enabled | IER_RECEIVED);
}

void serial_interrupt(void)
{
    inb(IIR); /* tells the chip that the interrupt was seen */
    receive();
    if ((enabled & IER_TRANSMITTER_EMPTY) && (inb(LSR) & LSR_THR_EMPTY)) {
        send_fifo_full();
        if (ring_in == ring_out)
            enable(enabled & (uint8_t)~IER_TRANSMITTER_EMPTY);
        wake(ring);
    }
}

const void *serial_room_channel(void)
{
    return ring;
}
