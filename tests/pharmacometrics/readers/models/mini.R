library(rxode2)
# The mini language: no ini; numbers are parameters, names without a value are columns of the data.
mini <- rxode2("
  CL = 3.5;
  V = 20
  KE ~ CL * (CRCL / 100)^0.8 / V   # not shown in the output
  d/dt(centr) = -KE * centr
  C2 = centr / V;
")
