/* void switch_context(uint32_t *save_esp, uint32_t load_esp)
 * Changes stacks, and with them the thread of execution: called by one process, returns in another.
 * C code expects only EBX, ESI, EDI, EBP to survive a call, so only these are saved.
 */
    .text
    .globl switch_context
    .type switch_context, @function
switch_context:
    movl 4(%esp), %eax
    movl 8(%esp), %edx
    pushl %ebx
    pushl %esi
    pushl %edi
    pushl %ebp
    movl %esp, (%eax)
    movl %edx, %esp
    popl %ebp
    popl %edi
    popl %esi
    popl %ebx
    ret
    .size switch_context, . - switch_context
