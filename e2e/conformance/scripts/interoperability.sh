# Runs in the guest: our basic and special tests (../interoperability) inside a mount.
mkdir /mnt/nfs/interoperability
./interoperability /mnt/nfs/interoperability
echo "INTEROPERABILITY ENDS"
