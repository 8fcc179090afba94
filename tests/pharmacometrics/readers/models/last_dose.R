# Part of a dose enters at a constant rate during the first hours after it, the rest through a transit chain.
last_dose <- function() {
  units <- list(time = "h", dosing = "ug", concentration = "ug/L")
  ini({
    lka <- log(0.8)
    lcl <- log(5)
    lvc <- log(40)
    lmtt <- log(1.2)
    nn <- 6.58
    share <- 0.3
    until <- 2
    eta.mtt ~ 0.1
    s <- 0.1
  })
  model({
    ka <- exp(lka)
    mtt <- exp(lmtt + eta.mtt)
    vc <- exp(lvc)
    mtime(tau) <- until
    zero <- share * podo(depot) / tau
    if (tad(depot) > tau) zero <- 0
    d/dt(depot) <- transit(nn, mtt, 1 - share) - ka * depot
    d/dt(central) <- ka * depot + zero - exp(lcl) / vc * central
    f(depot) <- 0
    alag(depot) <- 0.25
    Cc <- central / vc
    Cc ~ prop(s)
  })
}
