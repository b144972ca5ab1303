/**
 * ioctl(2) of file systems, and the requests of linux/fs.h that several files make. Not of the data path: a volume's file system is
 * asked when the volume is opened, a directory when it is first served.
 */
import { changingCall, systemCall } from './libc.ts';

/** Request for an inode's flags: FS_*_FL, 32 bits in memory of 64. */
export const FS_IOC_GETFLAGS = 0x80086601;
export const FS_IOC_SETFLAGS = 0x40086602;

type Ioctl = (fd: number, request: number, argument: number) => number;
const IOCTL = 'int ioctl(int fd, ulong request, int64 argument)';

/**
 * argument: address of the request's structure. Of requests that change nothing.
 *
 * @returns what the request returns (0 of those here), or -errno; -ENOTTY where the file system does not know it
 */
export const ioctl = systemCall<Ioctl>(null, IOCTL);

/** The same of those that change something: FS_IOC_SETFLAGS. */
export const changingIoctl = changingCall<Ioctl>(null, IOCTL);
