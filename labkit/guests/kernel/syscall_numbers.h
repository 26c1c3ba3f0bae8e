/* System calls. Number in EAX, arguments in EBX, ESI, EDI, result in EAX (-1: failed).
 * Two doors lead to the same table:
 *   INT 80h    the processor saves everything and looks up the gate in the IDT
 *   SYSENTER   the processor saves nothing; the program puts its ESP in ECX and the return address in EDX
 */
#ifndef SYSCALL_NUMBERS_H
#define SYSCALL_NUMBERS_H

#define SYS_EXIT 1     /* (status) */
#define SYS_FORK 2     /* () -> pid of the child, 0 in the child */
#define SYS_READ 3     /* (file, buffer, size) -> bytes; one line from the terminal */
#define SYS_WRITE 4    /* (file, buffer, size) -> bytes */
#define SYS_EXEC 5     /* (name, arguments) -> only if it failed */
#define SYS_WAIT 6     /* (pid or 0 for any, pointer to status, block) -> pid, 0 if none has ended */
#define SYS_GETPID 7   /* () -> pid */
#define SYS_YIELD 8    /* () */
#define SYS_SLEEP 9    /* (milliseconds) */
#define SYS_SBRK 10    /* (bytes more) -> where they begin */
#define SYS_UPTIME 11  /* () -> milliseconds since boot */
#define SYS_KILL 12    /* (pid) */
#define SYS_REPORT 13  /* (which, buffer, size) -> bytes; REPORT_... below */
#define SYS_HALT 14    /* () */
#define SYS_SHARE 15   /* () -> address of a page that stays shared after fork */
#define SYS_DETACH 16  /* () : Ctrl-C does not reach me and my children */
#define SYSCALL_COUNT 17

#define REPORT_PROCESSES 0
#define REPORT_MEMORY 1
#define REPORT_PAGE_TABLE 2
#define REPORT_COMMAND_LINE 3
#define REPORT_PROGRAMS 4

#endif
