#!/usr/bin/perl
# line-writer.pl FILE LOG STOP: appends numbered lines to FILE, each on stable storage before the next, until STOP is there.
# LOG gets `NUMBER TIME` for each line that was acknowledged, and `ERROR REASON`.
use strict;
use warnings;
use Fcntl;
use Time::HiRes qw(time);
my ($file, $log, $stop) = @ARGV;
open my $acknowledged, '>>', $log or die "$log: $!";
$acknowledged->autoflush;
sysopen my $out, $file, O_WRONLY | O_APPEND | O_CREAT | O_SYNC or do { print $acknowledged "ERROR open: $!\n"; exit 1 };
for (my $number = 1; !-e $stop; $number++) {
  my $line = "$number\n";
  my $written = syswrite $out, $line;
  if (!defined $written || $written != length $line) { print $acknowledged "ERROR write: $!\n"; exit 1 }
  printf $acknowledged "%d %.6f\n", $number, time;
}
close $out or print $acknowledged "ERROR close: $!\n";
print $acknowledged "END\n";
