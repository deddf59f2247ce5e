# own-terminals.sh: sourced as the first process of a mount namespace of its own. Terminals are restored by number, which
# another program of the machine may have taken meanwhile.

mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts /dev/pts
