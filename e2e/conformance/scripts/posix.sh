# Runs in the guest: pjdfstest inside a mount. PATTERNS: of its names; none: all.
mkdir /mnt/nfs/pjdfstest && chmod 755 /mnt/nfs/pjdfstest
echo "PJDFSTEST BEGINS"
./pjdfstest -c pjdfstest.toml -p /mnt/nfs/pjdfstest $PATTERNS 2>&1
echo "PJDFSTEST ENDS"
