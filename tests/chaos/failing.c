/* Put before a process by LD_PRELOAD: counts its input and output, and has the n-th fail or be its last.

   What counts is what goes to files and folders below FAILING_FOLDER, and over TCP to one of FAILING_PORTS, where a
   connection is cut that fails. What is to fail stands in the file FAILING_CONTROL, which all processes of an installation
   map and count in together; so does by how much the clock of the machine is wrong. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct control {
    uint64_t armed;     /* nothing is counted while this is 0 */
    uint64_t writes;    /* 1: only what takes room counts, and `part` is in its path */
    uint64_t from, to;  /* those that fail */
    uint64_t error;     /* with this errno; 0: whoever meets it is killed */
    uint64_t count;     /* so many there were */
    uint64_t failed;    /* so many failed */
    char part[128];
    char said[512];     /* the first that failed */
    int64_t ahead;      /* seconds that the clock is ahead of the true one; never that of what only counts on */
};

#define FILES 65536
static struct control *control;
static char folder[1024];
static size_t folder_length;
static int ports[8], port_count;
static char *names[FILES]; /* of open files that count */

__attribute__((constructor)) static void begin(void) {
    const char *where = getenv("FAILING_CONTROL"), *below = getenv("FAILING_FOLDER"), *listed = getenv("FAILING_PORTS");
    int (*really_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    if (!where || !below) return;
    folder_length = strlen(below);
    if (folder_length >= sizeof folder) return;
    memcpy(folder, below, folder_length + 1);
    while (listed && *listed && port_count < 8) {
        ports[port_count++] = (int)strtol(listed, (char **)&listed, 10);
        if (*listed == ',') listed++;
    }
    int file = really_open(where, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED) control = mapped;
}

enum { READS, WRITES };

/* Whether this one fails; `errno` is set then. */
static int fails(const char *what, const char *name, int kind) {
    if (!control || !name || !__atomic_load_n(&control->armed, __ATOMIC_SEQ_CST)) return 0;
    if (control->writes && (kind == READS || !strstr(name, control->part))) return 0;
    uint64_t mine = __atomic_add_fetch(&control->count, 1, __ATOMIC_SEQ_CST);
    if (mine < control->from || mine >= control->to) return 0;
    if (__atomic_fetch_add(&control->failed, 1, __ATOMIC_SEQ_CST) == 0)
        snprintf(control->said, sizeof control->said, "%s %s in %s", what, name, program_invocation_short_name);
    if (control->error == 0) kill(getpid(), SIGKILL);
    errno = (int)control->error;
    return 1;
}

static const char *ours(const char *path) {
    return control && path && !strncmp(path, folder, folder_length) ? path : NULL;
}

static const char *name_of(int file) { return file >= 0 && file < FILES ? names[file] : NULL; }

static void call(int file, const char *name) {
    if (file < 0 || file >= FILES) return;
    char *old = __atomic_exchange_n(&names[file], name ? strdup(name) : NULL, __ATOMIC_SEQ_CST);
    (void)old; /* another thread may still read it: it stays */
}

#define REAL(result, name, ...)                                                   \
    static result (*real)(__VA_ARGS__);                                           \
    if (!real) real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

#define OPENS(name)                                                               \
    int name(const char *path, int flags, ...) {                                  \
        REAL(int, name, const char *, int, ...);                                  \
        va_list more;                                                             \
        va_start(more, flags);                                                    \
        mode_t mode = va_arg(more, mode_t);                                       \
        va_end(more);                                                             \
        if (fails("open", ours(path), flags & O_CREAT ? WRITES : READS)) return -1; \
        int file = real(path, flags, mode);                                       \
        if (control) call(file, ours(path));                                      \
        return file;                                                              \
    }
OPENS(open)
OPENS(open64)

#define OPENS_AT(name)                                                            \
    int name(int at, const char *path, int flags, ...) {                          \
        REAL(int, name, int, const char *, int, ...);                             \
        va_list more;                                                             \
        va_start(more, flags);                                                    \
        mode_t mode = va_arg(more, mode_t);                                       \
        va_end(more);                                                             \
        if (fails("open", ours(path), flags & O_CREAT ? WRITES : READS)) return -1; \
        int file = real(at, path, flags, mode);                                   \
        if (control) call(file, ours(path));                                      \
        return file;                                                              \
    }
OPENS_AT(openat)
OPENS_AT(openat64)

int close(int file) {
    REAL(int, close, int);
    if (name_of(file)) call(file, NULL);
    return real(file);
}

#define ON_FILE(result, name, kind, parameters, arguments, ...)                   \
    result name parameters {                                                      \
        REAL(result, name, __VA_ARGS__);                                          \
        if (fails(#name, name_of(file), kind)) return -1;                         \
        return real arguments;                                                    \
    }
ON_FILE(ssize_t, read, READS, (int file, void *to, size_t size), (file, to, size), int, void *, size_t)
ON_FILE(ssize_t, write, WRITES, (int file, const void *of, size_t size), (file, of, size), int, const void *, size_t)
ON_FILE(ssize_t, pread, READS, (int file, void *to, size_t size, off_t at), (file, to, size, at), int, void *, size_t, off_t)
ON_FILE(ssize_t, pread64, READS, (int file, void *to, size_t size, off64_t at), (file, to, size, at), int, void *, size_t, off64_t)
ON_FILE(ssize_t, pwrite, WRITES, (int file, const void *of, size_t size, off_t at), (file, of, size, at), int, const void *, size_t, off_t)
ON_FILE(ssize_t, pwrite64, WRITES, (int file, const void *of, size_t size, off64_t at), (file, of, size, at), int, const void *, size_t, off64_t)
ON_FILE(ssize_t, readv, READS, (int file, const struct iovec *to, int count), (file, to, count), int, const struct iovec *, int)
ON_FILE(ssize_t, writev, WRITES, (int file, const struct iovec *of, int count), (file, of, count), int, const struct iovec *, int)
ON_FILE(int, fsync, WRITES, (int file), (file), int)
ON_FILE(int, fdatasync, WRITES, (int file), (file), int)
ON_FILE(int, ftruncate, WRITES, (int file, off_t size), (file, size), int, off_t)
ON_FILE(int, ftruncate64, WRITES, (int file, off64_t size), (file, size), int, off64_t)

/* A connection fails as a whole, on both sides. */
#define ON_SOCKET(name, parameters, arguments, ...)                               \
    ssize_t name parameters {                                                     \
        REAL(ssize_t, name, __VA_ARGS__);                                         \
        if (fails(#name, name_of(file), READS)) {                                 \
            shutdown(file, SHUT_RDWR);                                            \
            errno = ECONNRESET;                                                   \
            return -1;                                                            \
        }                                                                         \
        return real arguments;                                                    \
    }
ON_SOCKET(send, (int file, const void *of, size_t size, int flags), (file, of, size, flags), int, const void *, size_t, int)
ON_SOCKET(recv, (int file, void *to, size_t size, int flags), (file, to, size, flags), int, void *, size_t, int)
ON_SOCKET(sendmsg, (int file, const struct msghdr *of, int flags), (file, of, flags), int, const struct msghdr *, int)
ON_SOCKET(recvmsg, (int file, struct msghdr *to, int flags), (file, to, flags), int, struct msghdr *, int)

#define ON_PATH(name, kind, parameters, arguments, ...)                           \
    int name parameters {                                                         \
        REAL(int, name, __VA_ARGS__);                                             \
        if (fails(#name, ours(path), kind)) return -1;                            \
        return real arguments;                                                    \
    }
ON_PATH(rename, WRITES, (const char *path, const char *new), (path, new), const char *, const char *)
ON_PATH(link, WRITES, (const char *path, const char *new), (path, new), const char *, const char *)
ON_PATH(mkdir, WRITES, (const char *path, mode_t mode), (path, mode), const char *, mode_t)
ON_PATH(unlink, READS, (const char *path), (path), const char *)
ON_PATH(access, READS, (const char *path, int mode), (path, mode), const char *, int)
ON_PATH(stat, READS, (const char *path, struct stat *to), (path, to), const char *, struct stat *)
ON_PATH(stat64, READS, (const char *path, struct stat64 *to), (path, to), const char *, struct stat64 *)
ON_PATH(lstat, READS, (const char *path, struct stat *to), (path, to), const char *, struct stat *)
ON_PATH(lstat64, READS, (const char *path, struct stat64 *to), (path, to), const char *, struct stat64 *)
ON_PATH(statx, READS, (int at, const char *path, int flags, unsigned mask, struct statx *to), (at, path, flags, mask, to), int, const char *, int, unsigned, struct statx *)
ON_FILE(int, fstat, READS, (int file, struct stat *to), (file, to), int, struct stat *)
ON_FILE(int, fstat64, READS, (int file, struct stat64 *to), (file, to), int, struct stat64 *)

DIR *opendir(const char *path) {
    REAL(DIR *, opendir, const char *);
    return fails("opendir", ours(path), READS) ? NULL : real(path);
}

int clock_gettime(clockid_t clock, struct timespec *to) {
    int answer = (int)syscall(SYS_clock_gettime, clock, to);
    if (!answer && control && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        to->tv_sec += __atomic_load_n(&control->ahead, __ATOMIC_SEQ_CST);
    return answer;
}

int gettimeofday(struct timeval *to, void *zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    *to = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *to) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    if (to) *to = now.tv_sec;
    return now.tv_sec;
}

int connect(int file, const struct sockaddr *to, socklen_t size) {
    REAL(int, connect, int, const struct sockaddr *, socklen_t);
    if (control && to->sa_family == AF_INET) {
        int port = ntohs(((const struct sockaddr_in *)to)->sin_port);
        for (int one = 0; one < port_count; one++)
            if (ports[one] == port) {
                char name[32];
                snprintf(name, sizeof name, "port %d", port);
                if (fails("connect", name, READS)) {
                    errno = ECONNREFUSED;
                    return -1;
                }
                call(file, name);
            }
    }
    return real(file, to, size);
}
