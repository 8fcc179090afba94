saturable <- function() {
  units <- list(time = "day", dosing = "ug", concentration = "ug/L")
  ini({
    vmax <- 300
    km <- 4
    v <- 12
    kin <- 2.5
    kout <- 0.4
    ic50 <- 6
    eta.vmax ~ 0.1
    s <- 0.2
  })
  model({
    vm <- vmax * exp(eta.vmax)
    conc <- central / v
    if (conc > 100) slow <- 0.5 else if (conc > 50) slow <- 0.8 else slow <- 1
    d/dt(central) <- -slow * vm * conc / (km + conc)
    drive <- max(conc, 0.001, conc * 0.5)
    turnover(0) <- kin / kout
    d/dt(turnover) <- kin * (1 - drive / (ic50 + drive)) - kout * turnover
    conc ~ lnorm(s)
    turnover ~ pow(s, km)
  })
}
