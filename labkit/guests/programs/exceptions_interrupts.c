/* Interrupts from outside: when exactly is one accepted? STI lets one more instruction through, POPF none.
 * The timer (8254, mode 0: once) raises request 0 of the interrupt controller (8259A).
 */
#include "exceptions.h"

#define MASTER 0x20
#define PIT_CHANNEL_0 0x40
#define PIT_CONTROL 0x43
#define ONCE 0x30 /* channel 0, low byte then high byte, mode 0 */
#define READ_REQUESTS 0x0A
#define END_OF_INTERRUPT 0x20

CODE(sti_nop, "sti", "nop");
CODE(sti_cli, "sti; cli", "nop");
CODE(sti_hlt, "sti", "hlt");
CODE(popf_if, "pushl $0x202", "popfl");

static void controller_init(void)
{
    outb(MASTER, 0x11);
    outb(MASTER + 1, IRQ0);
    outb(MASTER + 1, 4);
    outb(MASTER + 1, 1);
    outb(MASTER + 1, 0xFE); /* only the timer */
    outb(0xA1, 0xFF);
}

static void start_timer(uint16_t count)
{
    outb(PIT_CONTROL, ONCE);
    outb(PIT_CHANNEL_0, (uint8_t)count);
    outb(PIT_CHANNEL_0, (uint8_t)(count >> 8));
}

static bool requested(void)
{
    outb(MASTER, READ_REQUESTS);
    return inb(MASTER) & 1;
}

/* A request is waiting before the code starts. */
static struct outcome with_request(const char *code)
{
    start_timer(50);
    while (!requested())
        ;
    struct outcome got = run_ring0(code);
    outb(MASTER, END_OF_INTERRUPT);
    return got;
}

void interrupts(void)
{
    controller_init();
    check_trap("interrupt after the instruction behind sti", with_request(sti_nop), IRQ0, 0, sti_nop_next);
    check_trap("no interrupt between sti and cli", with_request(sti_cli), NO_TRAP, 0, 0);
    check("the request is still there", true, requested());
    check_trap("interrupt right after popf", with_request(popf_if), IRQ0, 0, popf_if_next);
    check_trap("sti hlt with a request waiting", with_request(sti_hlt), IRQ0, 0, sti_hlt_next);
    start_timer(20000); /* 17 ms: comes while the processor sleeps */
    check_trap("sti hlt, request later", run_ring0(sti_hlt), IRQ0, 0, sti_hlt_next);
    outb(MASTER, END_OF_INTERRUPT);
    struct outcome got = with_request(sti_nop);
    check("if was on in the saved flags", EFLAGS_IF, got.frame.eflags & EFLAGS_IF);
    outb(MASTER + 1, 0xFF);
}
