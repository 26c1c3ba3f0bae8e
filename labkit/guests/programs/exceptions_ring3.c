/* Ring 3: which instructions are refused, who may use which gate and port, and where the stack comes from. */
#include "exceptions.h"

#define RING3_CODE(name, instruction) CODE(name, "", instruction)

RING3_CODE(user_cli, "cli");
RING3_CODE(user_sti, "sti");
RING3_CODE(user_hlt, "hlt");
RING3_CODE(user_read_cr0, "movl %cr0, %eax");
RING3_CODE(user_write_cr3, "movl %eax, %cr3");
RING3_CODE(user_read_dr7, "movl %dr7, %eax");
RING3_CODE(user_lgdt, "lgdt far_pointer");
RING3_CODE(user_lidt, "lidt far_pointer");
RING3_CODE(user_ltr, "ltr %ax");
RING3_CODE(user_lldt, "lldt %ax");
RING3_CODE(user_lmsw, "lmsw %ax");
RING3_CODE(user_clts, "clts");
RING3_CODE(user_wbinvd, "wbinvd");
RING3_CODE(user_invlpg, "invlpg 0");
RING3_CODE(user_rdmsr, "rdmsr");
RING3_CODE(user_wrmsr, "wrmsr");
RING3_CODE(user_rdtsc, "rdtsc");
RING3_CODE(user_cpuid, "cpuid");
RING3_CODE(user_smsw, "smsw %eax");
RING3_CODE(user_str, "str %eax");
RING3_CODE(user_in, "inb $0x80, %al");
RING3_CODE(user_out, "outb %al, $0x80");
RING3_CODE(user_in_word, "inw $0x80, %ax");
RING3_CODE(user_insb, "movw $0x80, %dx; movl $far_pointer, %edi; user_insb_real_at: insb");
RING3_CODE(user_int_42, "int $0x42");
RING3_CODE(user_int3, "int3");
RING3_CODE(user_ud2, "ud2");
CODE(user_into, "movb $0x7F, %al; addb $1, %al", "into");
CODE(user_popf, "pushl $0x3002; popfl; pushfl", "popl %eax");
CODE(user_load_ds, "movl selector, %eax", "movl %eax, %ds");
CODE(user_load_ss, "movl selector, %eax", "movl %eax, %ss");
RING3_CODE(user_far_jump, "ljmp *far_pointer");
CODE(user_iret_to_ring0, "pushfl; pushl $0x08; pushl $user_done", "iretl");
CODE(user_read_ds, "", "movl %ds, %eax");
CODE(user_misaligned, "movl $far_pointer + 1, %ecx; andl $-4, %ecx", "movl 1(%ecx), %eax");
extern char user_insb_real_at[];

static void privileged_instructions(void)
{
    static const struct {
        const char *name, *code;
    } refused[] = {
        {"cli", user_cli},
        {"sti", user_sti},
        {"hlt", user_hlt},
        {"mov from cr0", user_read_cr0},
        {"mov to cr3", user_write_cr3},
        {"mov from dr7", user_read_dr7},
        {"lgdt", user_lgdt},
        {"lidt", user_lidt},
        {"ltr", user_ltr},
        {"lldt", user_lldt},
        {"lmsw", user_lmsw},
        {"clts", user_clts},
        {"wbinvd", user_wbinvd},
        {"invlpg", user_invlpg},
        {"rdmsr", user_rdmsr},
        {"wrmsr", user_wrmsr},
    };
    static const struct {
        const char *name, *code;
    } allowed[] = {{"rdtsc", user_rdtsc}, {"cpuid", user_cpuid}, {"smsw", user_smsw}, {"str", user_str}};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        check_trap(refused[i].name, run_ring3(refused[i].code, 0), GP, 0, refused[i].code);
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        check_trap(allowed[i].name, run_ring3(allowed[i].code, 0), NO_TRAP, 0, 0);
    write_cr4(read_cr4() | 4); /* TSD */
    check_trap("rdtsc with cr4.tsd", run_ring3(user_rdtsc, 0), GP, 0, user_rdtsc_at);
    write_cr4(read_cr4() & ~4u);
}

static void gates_and_rings(void)
{
    check_trap("int n, gate for ring 0", run_ring3(user_int_42, 0), GP, 0x42 * 8 + 2, user_int_42_at);
    check_trap("int3, gate for ring 0", run_ring3(user_int3, 0), GP, BP * 8 + 2, user_int3_at);
    check_trap("into, gate for ring 0", run_ring3(user_into, 0), GP, OF * 8 + 2, user_into_at);
    interrupt_gate(0x42, 3, true);
    interrupt_gate(BP, 3, true);
    interrupt_gate(OF, 3, true);
    struct outcome got = run_ring3(user_int_42, EFLAGS_IF);
    check_trap("int n, gate for ring 3", got, 0x42, 0, user_int_42_next);
    check("  saved cs", USER_CS, got.frame.cs & 0xFFFF);
    check("  saved ss", USER_DS, got.frame.ss & 0xFFFF);
    check("  saved esp", (uint32_t)user_stack_top - 4, got.frame.esp);
    check("  saved if", EFLAGS_IF, got.frame.eflags & EFLAGS_IF);
    check("  on the stack of the tss", (uint32_t)trap_stack_top,
          got.frame_address + offsetof(struct trap_frame, v86_es));
    check_trap("ud in ring 3", run_ring3(user_ud2, 0), UD, 0, user_ud2_at);
    check_trap("int3, gate for ring 3", run_ring3(user_int3, 0), BP, 0, user_int3_next);
    check_trap("into, gate for ring 3", run_ring3(user_into, 0), OF, 0, user_into_next);
}

static struct outcome with_selector(uint32_t value, const char *code)
{
    selector = value;
    return run_ring3(code, 0);
}

static void segments_in_ring3(void)
{
    check_trap("ring 3 loads ds of ring 0", with_selector(KERNEL_DS, user_load_ds), GP, KERNEL_DS,
               user_load_ds_at);
    check_trap("ring 3 loads ss of ring 0", with_selector(KERNEL_DS, user_load_ss), GP, KERNEL_DS,
               user_load_ss_at);
    check_trap("ring 3 loads its own ds", with_selector(USER_DS, user_load_ds), NO_TRAP, 0, 0);
    far_pointer = (struct far_pointer){0, KERNEL_CS};
    check_trap("ring 3 jumps to code of ring 0", run_ring3(user_far_jump, 0), GP, KERNEL_CS,
               user_far_jump_at);
    check_trap("ring 3 returns to ring 0", run_ring3(user_iret_to_ring0, 0), GP, KERNEL_CS,
               user_iret_to_ring0_at);
}

/* IRET to an outer ring must not leave it the inner ring's data segments: they become null. */
static void iret_clears_segments(void)
{
    uint32_t *stack = (uint32_t *)user_stack_top;
    *--stack = (uint32_t)user_done;
    struct trap_frame frame = {.gs = KERNEL_DS, .fs = KERNEL_DS, .es = USER_DS, .ds = KERNEL_DS,
                               .eip = (uint32_t)user_read_ds, .cs = USER_CS, .eflags = EFLAGS_FIXED,
                               .esp = (uint32_t)stack, .ss = USER_DS};
    struct outcome got = run_frame(&frame);
    check_trap("iret to ring 3", got, DONE, 0, user_done + 2);
    check("  ds of ring 0 became null", 0, got.frame.eax & 0xFFFF);
    check("  fs too", 0, got.frame.fs & 0xFFFF);
    check("  es of ring 3 stayed", USER_DS, got.frame.es & 0xFFFF);
}

static void bitmap(bool present, uint8_t refused_from_80h)
{
    memset(tss.io_bitmap, 0xFF, sizeof tss.io_bitmap);
    tss.io_bitmap[0x80 / 8] = refused_from_80h;
    tss.io_bitmap_offset = present ? offsetof(struct task_state, io_bitmap) : sizeof tss;
}

/* The I/O permission bitmap: one bit for each port, 1 = refused; asked only when CPL > IOPL. */
static void ports(void)
{
    bitmap(false, 0);
    check_trap("in without a bitmap", run_ring3(user_in, 0), GP, 0, user_in_at);
    check_trap("out without a bitmap", run_ring3(user_out, 0), GP, 0, user_out_at);
    check_trap("insb without a bitmap", run_ring3(user_insb, 0), GP, 0, user_insb_real_at);
    check_trap("in with iopl 3", run_ring3(user_in, EFLAGS_IOPL3), NO_TRAP, 0, 0);
    bitmap(true, 0xFE);
    check_trap("in, bit clear", run_ring3(user_in, 0), NO_TRAP, 0, 0);
    check_trap("out, bit clear", run_ring3(user_out, 0), NO_TRAP, 0, 0);
    check_trap("in of a word, second bit set", run_ring3(user_in_word, 0), GP, 0, user_in_word_at);
    bitmap(true, 0xFC);
    check_trap("in of a word, both bits clear", run_ring3(user_in_word, 0), NO_TRAP, 0, 0);
    bitmap(true, 0xFF);
    check_trap("in, bit set", run_ring3(user_in, 0), GP, 0, user_in_at);
    check_trap("in, bit set, iopl 3", run_ring3(user_in, EFLAGS_IOPL3), NO_TRAP, 0, 0);
    bitmap(false, 0);
}

static void flags(void)
{
    check_trap("cli with iopl 3", run_ring3(user_cli, EFLAGS_IOPL3 | EFLAGS_IF), NO_TRAP, 0, 0);
    struct outcome got = run_ring3(user_popf, EFLAGS_IF);
    check("popf in ring 3 changes neither if nor iopl", EFLAGS_IF,
          got.frame.eax & (EFLAGS_IF | EFLAGS_IOPL3));
    got = run_ring3(user_popf, EFLAGS_IF | EFLAGS_IOPL3);
    check("popf with iopl 3 changes if", EFLAGS_IOPL3, got.frame.eax & (EFLAGS_IF | EFLAGS_IOPL3));
}

static void alignment(void)
{
    write_cr0(read_cr0() | CR0_AM);
    check_trap("misaligned, ac off", run_ring3(user_misaligned, 0), NO_TRAP, 0, 0);
    struct outcome got = run_ring3(user_misaligned, EFLAGS_AC);
    if (got.frame.vector == NO_TRAP)
        skip("ac misaligned", "this processor does not check alignment");
    else
        check_trap("ac misaligned", got, AC, 0, user_misaligned_at);
    write_cr0(read_cr0() & ~(uint32_t)CR0_AM);
}

void ring3(void)
{
    privileged_instructions();
    gates_and_rings();
    segments_in_ring3();
    iret_clears_segments();
    ports();
    flags();
    alignment();
}
