/* Virtual 8086 mode: 16-bit code in ring 3, with segments that begin at selector * 16. Entered by an IRET
 * that loads VM = 1; every trap leaves it, and pushes the data segments too, as ring 0 cannot use such values.
 */
#include "exceptions.h"

#define CODE_SEGMENT 0x0800 /* linear 8000h */
#define DATA_SEGMENT 0x0900
#define STACK_SEGMENT 0x0A00

/* 16-bit code, as bytes: it is copied to linear 8000h. */
static const uint8_t int_42[] = {0xCD, 0x42};
static const uint8_t hlt[] = {0xF4};
static const uint8_t cli_hlt[] = {0xFA, 0xF4};
static const uint8_t pushf_hlt[] = {0x9C, 0xF4};
/* MOV word [10h], BEEFh; MOV AX, DS; HLT */
static const uint8_t store_hlt[] = {0xC7, 0x06, 0x10, 0x00, 0xEF, 0xBE, 0x8C, 0xD8, 0xF4};
static const uint8_t in_80h_hlt[] = {0xE4, 0x80, 0xF4};

static struct outcome run_v86(const uint8_t *code, size_t size, uint32_t eflags)
{
    memcpy((void *)(CODE_SEGMENT * 16), code, size);
    struct trap_frame frame = {.gs = KERNEL_DS, .fs = KERNEL_DS, .es = KERNEL_DS, .ds = KERNEL_DS,
                               .cs = CODE_SEGMENT, .eflags = EFLAGS_FIXED | EFLAGS_VM | eflags,
                               .esp = 0x100, .ss = STACK_SEGMENT,
                               .v86_es = 0x1111, .v86_ds = DATA_SEGMENT, .v86_fs = 0x2222, .v86_gs = 0x3333};
    return run_frame(&frame);
}

static void the_frame(void)
{
    struct outcome got = run_v86(hlt, sizeof hlt, 0);
    check_trap("v86 hlt", got, GP, 0, 0);
    check("  vm in the saved flags", EFLAGS_VM, got.frame.eflags & EFLAGS_VM);
    check("  saved cs", CODE_SEGMENT, got.frame.cs & 0xFFFF);
    check("  saved ss", STACK_SEGMENT, got.frame.ss & 0xFFFF);
    check("  saved sp", 0x100, got.frame.esp);
    check("  saved es", 0x1111, got.frame.v86_es & 0xFFFF);
    check("  saved ds", DATA_SEGMENT, got.frame.v86_ds & 0xFFFF);
    check("  saved fs", 0x2222, got.frame.v86_fs & 0xFFFF);
    check("  saved gs", 0x3333, got.frame.v86_gs & 0xFFFF);
    check("  ds null in the handler", 0, got.frame.ds & 0xFFFF);
    check("  on the stack of the tss", (uint32_t)trap_stack_top, got.frame_address + sizeof got.frame);
}

void virtual_8086(void)
{
    the_frame();
    struct outcome got = run_v86(store_hlt, sizeof store_hlt, 0);
    check_trap("v86 store", got, GP, 0, (char *)8);
    check("  at segment * 16 + offset", 0xBEEF, *(volatile uint16_t *)(DATA_SEGMENT * 16 + 0x10));
    check("  segment value as loaded", DATA_SEGMENT, got.frame.eax & 0xFFFF);
    check_trap("v86 cli, iopl 0", run_v86(cli_hlt, sizeof cli_hlt, 0), GP, 0, 0);
    check_trap("v86 cli, iopl 3", run_v86(cli_hlt, sizeof cli_hlt, EFLAGS_IOPL3), GP, 0, (char *)1);
    check_trap("v86 pushf, iopl 0", run_v86(pushf_hlt, sizeof pushf_hlt, 0), GP, 0, 0);
    check_trap("v86 pushf, iopl 3", run_v86(pushf_hlt, sizeof pushf_hlt, EFLAGS_IOPL3), GP, 0, (char *)1);
    got = run_v86(in_80h_hlt, sizeof in_80h_hlt, EFLAGS_IOPL3);
    check_trap("v86 in without a bitmap, even with iopl 3", got, GP, 0, 0);
    check_trap("v86 int n, iopl 0", run_v86(int_42, sizeof int_42, 0), GP, 0, 0);
    interrupt_gate(0x42, 3, true);
    check_trap("v86 int n, iopl 3", run_v86(int_42, sizeof int_42, EFLAGS_IOPL3), 0x42, 0, (char *)2);
    interrupt_gate(0x42, 0, true);
    got = run_v86(int_42, sizeof int_42, EFLAGS_IOPL3);
    check_trap("v86 int n, gate for ring 0", got, GP, 0x42 * 8 + 2, 0);
}
